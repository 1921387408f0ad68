//! The random steps of the property test.

use proptest::collection::vec;
use proptest::prelude::*;

/// Customers of a case.
pub const USERS: usize = 2;
/// Keys of each customer: the first has no budget, the second a total one, the third one for each period.
pub const KEYS: usize = 3;
/// The budget of a customer's second key.
pub const BUDGET: i64 = 400;
/// The budgets of a customer's third key for a day, a week and a month.
pub const KEY_BUDGETS: [i64; 3] = [150, 300, 500];
/// The budgets of the second customer for a day, a week and a month.
pub const USER_BUDGETS: [i64; 3] = [300, 700, 1200];

/// What a settlement costs, seen from its hold.
#[derive(Clone, Copy, Debug)]
pub enum Cost {
    Nothing,
    /// So many percent of the hold.
    Part(i64),
    /// The hold, and so much more.
    Over(i64),
}

/// One step. A number that picks an earlier grant, hold or correction is taken modulo how many there are.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    Grant { user: usize, kind: u8, priority: i64, effective_in: i64, expires_in: Option<i64>, amount: i64 },
    ReplayGrant(usize),
    ConflictingGrant(usize),
    Hold { user: usize, key: usize, full: i64, floor: i64, checkpoint: i64 },
    DroppedHold { user: usize, full: i64 },
    DuplicateHold { pick: usize, full: i64 },
    Settle { pick: usize, cost: Cost },
    SettleTwice { pick: usize, cost: Cost },
    Checkpoint { pick: usize, amount: i64 },
    Wait(i64),
    Expire,
    Adjust { user: usize, delta: i64 },
    ReplayAdjust(usize),
    ConflictingAdjust(usize),
    Limit { user: usize, limit: i64 },
    Recover,
}

fn cost() -> impl Strategy<Value = Cost> {
    prop_oneof![
        1 => Just(Cost::Nothing),
        3 => (1..=100i64).prop_map(Cost::Part),
        2 => (0..300i64).prop_map(Cost::Over),
    ]
}

fn grant() -> impl Strategy<Value = Step> {
    let times = (prop_oneof![4 => Just(0), 1 => 1..60i64], prop_oneof![2 => Just(None), 2 => (1..120i64).prop_map(Some)]);
    (0..USERS, 0..3u8, 0..3i64, times, 1..500i64).prop_map(|(user, kind, priority, (effective_in, expires_in), amount)| Step::Grant {
        user,
        kind,
        priority,
        effective_in,
        expires_in,
        amount,
    })
}

/// A case: enough steps for money to run out and time to pass.
pub fn steps() -> impl Strategy<Value = Vec<Step>> {
    let hold = (0..USERS, 0..KEYS, 1..300i64, 0..60i64, 0..200i64);
    let step = prop_oneof![
        8 => grant(),
        1 => any::<usize>().prop_map(Step::ReplayGrant),
        1 => any::<usize>().prop_map(Step::ConflictingGrant),
        14 => hold.prop_map(|(user, key, full, floor, checkpoint)| Step::Hold { user, key, full, floor: floor.min(full), checkpoint }),
        2 => (0..USERS, 1..300i64).prop_map(|(user, full)| Step::DroppedHold { user, full }),
        1 => (any::<usize>(), 1..300i64).prop_map(|(pick, full)| Step::DuplicateHold { pick, full }),
        12 => (any::<usize>(), cost()).prop_map(|(pick, cost)| Step::Settle { pick, cost }),
        2 => (any::<usize>(), cost()).prop_map(|(pick, cost)| Step::SettleTwice { pick, cost }),
        3 => (any::<usize>(), 0..400i64).prop_map(|(pick, amount)| Step::Checkpoint { pick, amount }),
        4 => (1..50i64).prop_map(Step::Wait),
        3 => prop_oneof![Just(8), Just(24), Just(100), Just(400)].prop_map(|hours| Step::Wait(hours * 3_600_000)),
        3 => Just(Step::Expire),
        3 => (0..USERS, -300..300i64).prop_map(|(user, delta)| Step::Adjust { user, delta }),
        1 => any::<usize>().prop_map(Step::ReplayAdjust),
        1 => any::<usize>().prop_map(Step::ConflictingAdjust),
        2 => (0..USERS, 0..300i64).prop_map(|(user, limit)| Step::Limit { user, limit }),
        2 => Just(Step::Recover),
    ];
    vec(step, 8..60)
}
