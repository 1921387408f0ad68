//! What the ledger should do, said a second time in the plainest way: numbers in vectors, no database, none of its code.

use std::collections::HashMap;

/// The word of the model for what a hold has come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    Ended,
    Recovered,
}

/// A credit of a customer.
#[derive(Clone, Debug)]
pub struct Credit {
    pub id: i64,
    /// 0 gift, 1 plan, 2 paid.
    pub kind: u8,
    pub posted: i64,
    pub held: i64,
    pub priority: i64,
    pub effective: i64,
    pub expires: i64,
}

/// A reservation.
#[derive(Clone, Debug)]
pub struct Hold {
    pub user: usize,
    pub key: usize,
    pub amount: i64,
    /// (credit id, amount) in spend order.
    pub legs: Vec<(i64, i64)>,
    pub checkpoint: i64,
    pub state: State,
    pub charged: i64,
    pub absorbed: i64,
    /// When it was charged first.
    at: i64,
    /// (credit id, amount) in the order of payment.
    paid: Vec<(i64, i64)>,
}

/// A customer.
#[derive(Clone, Debug, Default)]
pub struct Wallet {
    pub credits: Vec<Credit>,
    pub owed: i64,
    pub limit: i64,
    pub spent: Log,
}

/// What was charged: when, and how much, with what was given back of it as less than nothing at the same time.
#[derive(Clone, Debug, Default)]
pub struct Log(Vec<(i64, i64)>);

/// At most so much: in all, and in each stretch of time, from its first millisecond to before its last.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    pub total: Option<i64>,
    pub periods: Vec<(std::ops::Range<i64>, i64)>,
}

impl Log {
    fn add(&mut self, at: i64, amount: i64) {
        self.0.push((at, amount));
    }

    pub fn total(&self) -> i64 {
        self.0.iter().map(|(_, amount)| amount).sum()
    }

    fn within(&self, time: &std::ops::Range<i64>) -> i64 {
        self.0.iter().filter(|(at, _)| time.contains(at)).map(|(_, amount)| amount).sum()
    }

    /// What the tightest of the bounds leaves.
    fn left(&self, bounds: &Bounds, held: i64) -> i64 {
        let periods = bounds.periods.iter().map(|(time, most)| most - self.within(time) - held);
        bounds.total.map(|most| most - self.total() - held).into_iter().chain(periods).min().unwrap_or(i64::MAX)
    }
}

/// Why a hold is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Balance(i64),
    Budget(i64),
}

/// Everything.
#[derive(Debug, Default)]
pub struct Model {
    pub now: i64,
    pub wallets: Vec<Wallet>,
    pub holds: Vec<Hold>,
    /// What was spent, and what is held, by key.
    pub keys: HashMap<usize, (Log, i64)>,
}

impl Wallet {
    /// The credits that can be spent now, as indexes in the order in which they are.
    fn spendable(&self, now: i64) -> Vec<usize> {
        let usable = |c: &Credit| c.effective <= now && c.expires > now && c.posted > c.held;
        let mut order: Vec<usize> = (0..self.credits.len()).filter(|&i| usable(&self.credits[i])).collect();
        order.sort_by(|&a, &b| {
            let (a, b) = (&self.credits[a], &self.credits[b]);
            a.priority.cmp(&b.priority).then(a.expires.cmp(&b.expires)).then(a.kind.cmp(&b.kind)).then(a.id.cmp(&b.id))
        });
        order
    }

    /// What a new request can take.
    pub fn available(&self, now: i64) -> i64 {
        self.spendable(now).iter().map(|&i| self.credits[i].posted - self.credits[i].held).sum()
    }

    fn credit(&mut self, id: i64) -> &mut Credit {
        self.credits.iter_mut().find(|c| c.id == id).unwrap()
    }

    /// Which credits pay `want`, as far as it goes.
    fn split(&self, want: i64, now: i64) -> Vec<(i64, i64)> {
        let mut parts = Vec::new();
        let mut missing = want;
        for i in self.spendable(now) {
            let part = missing.min(self.credits[i].posted - self.credits[i].held);
            if part > 0 {
                parts.push((self.credits[i].id, part));
                missing -= part;
            }
        }
        parts
    }
}

impl Model {
    /// A credit comes in; debt is paid first.
    pub fn grant(&mut self, user: usize, credit: Credit) {
        let wallet = &mut self.wallets[user];
        let debt = wallet.owed.min(credit.posted);
        wallet.owed -= debt;
        wallet.credits.push(Credit { posted: credit.posted - debt, ..credit });
    }

    /// Money is taken by hand; refused with what there is when that is too little.
    pub fn take(&mut self, user: usize, amount: i64) -> Result<(), i64> {
        let now = self.now;
        let wallet = &mut self.wallets[user];
        let available = wallet.available(now);
        if available < amount {
            return Err(available);
        }
        for (id, part) in wallet.split(amount, now) {
            wallet.credit(id).posted -= part;
        }
        Ok(())
    }

    /// What has expired and is not held goes.
    pub fn expire(&mut self) {
        for wallet in &mut self.wallets {
            for credit in wallet.credits.iter_mut().filter(|c| c.expires <= self.now) {
                credit.posted = credit.held;
            }
        }
    }

    /// A reservation of up to `full`; returns what is held.
    pub fn hold(&mut self, user: usize, key: usize, bounds: (&Bounds, &Bounds), full: i64, floor: i64, checkpoint: i64) -> Result<i64, Refusal> {
        let (spent, in_flight) = self.keys.get(&key).cloned().unwrap_or_default();
        let wallet = &self.wallets[user];
        let in_flight_of_all = wallet.credits.iter().map(|c| c.held).sum();
        let budget_left = spent.left(bounds.0, in_flight).min(wallet.spent.left(bounds.1, in_flight_of_all));
        if budget_left < floor.max(1) {
            return Err(Refusal::Budget(budget_left));
        }
        let wallet = &mut self.wallets[user];
        let available = wallet.available(self.now);
        if available < floor.max(1) {
            return Err(Refusal::Balance(available));
        }
        let legs = wallet.split(full.min(budget_left), self.now);
        let amount = legs.iter().map(|leg| leg.1).sum();
        for (id, part) in &legs {
            wallet.credit(*id).held += part;
        }
        self.keys.entry(key).or_default().1 += amount;
        self.holds.push(Hold { user, key, amount, legs, checkpoint, state: State::Open, charged: 0, absorbed: 0, at: 0, paid: Vec::new() });
        Ok(amount)
    }

    /// A reservation ends at `cost`, for good or for now. Returns (charged, absorbed).
    pub fn settle(&mut self, n: usize, cost: i64, by_recovery: bool) -> (i64, i64) {
        match (self.holds[n].state, by_recovery) {
            (State::Open, _) => {
                self.capture(n, cost);
                self.holds[n].state = if by_recovery { State::Recovered } else { State::Ended };
            }
            (State::Recovered, false) => {
                self.correct(n, cost);
                self.holds[n].state = State::Ended;
            }
            _ => {}
        }
        (self.holds[n].charged, self.holds[n].absorbed)
    }

    fn capture(&mut self, n: usize, cost: i64) {
        let hold = &mut self.holds[n];
        let wallet = &mut self.wallets[hold.user];
        let mut left = cost;
        for &(id, held) in &hold.legs {
            let part = held.min(left);
            wallet.credit(id).held -= held;
            wallet.credit(id).posted -= part;
            left -= part;
            hold.paid.push((id, part));
            hold.charged += part;
        }
        let (amount, charged) = (hold.amount, hold.charged);
        hold.at = self.now;
        wallet.spent.add(self.now, charged);
        let meter = self.keys.entry(hold.key).or_default();
        meter.0.add(self.now, charged);
        meter.1 -= amount;
        self.charge_more(n, left);
    }

    /// Beyond the hold: from what is available, then as debt, then nobody.
    fn charge_more(&mut self, n: usize, amount: i64) {
        let hold = &mut self.holds[n];
        let wallet = &mut self.wallets[hold.user];
        let mut left = amount;
        for (id, part) in wallet.split(amount, self.now) {
            wallet.credit(id).posted -= part;
            left -= part;
            hold.paid.push((id, part));
        }
        let debt = left.min((wallet.limit - wallet.owed).max(0));
        wallet.owed += debt;
        left -= debt;
        hold.charged += amount - left;
        hold.absorbed += left;
        wallet.spent.add(self.now, amount - left);
        self.keys.entry(hold.key).or_default().0.add(self.now, amount - left);
    }

    /// The node of a recovered request says what it cost after all.
    fn correct(&mut self, n: usize, cost: i64) {
        let so_far = self.holds[n].charged + self.holds[n].absorbed;
        if cost >= so_far {
            return self.charge_more(n, cost - so_far);
        }
        let hold = &mut self.holds[n];
        let wallet = &mut self.wallets[hold.user];
        let unpaid = hold.absorbed.min(so_far - cost);
        hold.absorbed -= unpaid;
        let mut left = so_far - cost - unpaid;
        hold.charged -= left;
        wallet.spent.add(hold.at, -left);
        self.keys.entry(hold.key).or_default().0.add(hold.at, -left);
        let debt = wallet.owed.min(left);
        wallet.owed -= debt;
        left -= debt;
        for (id, paid) in hold.paid.iter().rev() {
            let part = left.min(*paid);
            wallet.credit(*id).posted += part;
            left -= part;
        }
        wallet.credit(hold.legs[0].0).posted += left;
    }
}
