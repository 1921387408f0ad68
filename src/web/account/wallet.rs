//! `/account/wallet`: what a customer has, in what order it is spent, and every movement with the balance after it.

use super::views::{Wallet, WalletCredit};
use crate::db::Conn;
use crate::kernel::{Day, Days, Id, Usd};
use crate::ledger::EVERYTHING;
use crate::ledger::statement::{self, DayLine, Line, Sort, Wanted};
use crate::web::error::{Answer, Problem};
use crate::web::page::render;
use crate::web::who::Customer;
use crate::web::{Form, Page, Site, csv, format};
use axum::extract::{Query, State};
use futures_util::stream;

/// How many movements a page has.
const LINES: i64 = 50;
/// How many days.
const DAYS: usize = 31;
/// How many requests that run are shown.
const HOLDS: i64 = 20;
/// How many movements are read at a time for a file.
const PORTION: i64 = 1_000;

/// Which part of the statement, as its address says.
#[derive(serde::Deserialize, Clone, Debug, Default)]
#[serde(default)]
pub struct Choice {
    view: String,
    sort: String,
    from: String,
    until: String,
    before: Option<Id>,
}

impl Choice {
    /// Whether every movement has a line of its own.
    fn is_detailed(&self) -> bool {
        self.view == "all" || !self.sort.is_empty()
    }

    /// What it asks for, with what is wrong noted in the form. Dates count from the beginning of the first to the end of the last.
    fn read(&self, page: &Page, days: &Days) -> (Wanted, Form) {
        let view = if self.is_detailed() { "all" } else { "" };
        let mut form = Form::empty(page.lang).fill("view", view).fill("sort", &self.sort).fill("from", &self.from).fill("until", &self.until);
        let from = form.read_optional("from", "statement.error.day", str::parse::<Day>).flatten();
        let until = form.read_optional("until", "statement.error.day", str::parse::<Day>).flatten();
        if from.zip(until).is_some_and(|(from, until)| until < from) {
            form.refuse("until", "statement.error.order");
        }
        let last = until.map_or(Id(i64::MAX), |day| days.ids(day).1);
        let first = from.map_or(Id(0), |day| days.ids(day).0);
        (Wanted { from: first, until: last, sort: Sort::from_word(&self.sort) }, form)
    }

    /// The address of this choice, further on.
    fn link(&self, path: &str, before: Option<Id>) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("view", &self.view), ("sort", &self.sort), ("from", &self.from), ("until", &self.until)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        if let Some(before) = before {
            query.append_pair("before", &before.to_string());
        }
        let query = query.finish();
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }
}

/// One page of a statement.
#[derive(Default)]
struct Statement {
    days: Vec<DayLine>,
    lines: Vec<Line>,
    older: Option<Id>,
}

/// `GET /account/wallet`
pub async fn show(State(site): State<Site>, Customer { user, page, .. }: Customer, Query(choice): Query<Choice>) -> Answer {
    let days = Days::of(&site.settings.now().time_zone);
    let (wanted, form) = choice.read(&page, &days);
    // One snapshot: the statement is counted back from what the wallet has.
    let mut tx = site.db.snapshot().await?;
    let balance = site.books.balance(&mut tx, user.id).await?;
    let total = statement::total(&mut tx, user.id).await?;
    let mut holds = statement::holds(&mut tx, user.id, HOLDS + 1).await?;
    let more_holds = holds.len() as i64 > HOLDS;
    holds.truncate(HOLDS as usize);
    let part = Wanted { until: choice.before.map_or(wanted.until, |before| before.min(wanted.until)), ..wanted };
    let Statement { days: by_day, lines, older } =
        if choice.is_detailed() { detailed(&mut tx, user.id, &days, part).await? } else { daily(&mut tx, user.id, &days, part).await? };
    drop(tx);
    let now = site.now();
    let (wallet, plans) = balance.credits.iter().map(|row| WalletCredit::of(row.clone(), now)).partition(|credit| credit.row.bucket.scope == EVERYTHING);
    let file = Choice { view: String::new(), ..choice.clone() }.link("/account/wallet/statement.csv", None);
    let older = older.map(|before| choice.link("/account/wallet", Some(before)));
    let zone = days.zone().to_owned();
    Ok(render(&Wallet { page, balance, total, wallet, plans, holds, more_holds, days: by_day, lines, older, file, form, zone }))
}

async fn detailed(conn: &mut Conn, user: Id, calendar: &Days, wanted: Wanted) -> Result<Statement, Problem> {
    let mut lines = statement::lines(conn, calendar, user, wanted, LINES + 1).await?;
    let more = lines.len() as i64 > LINES;
    lines.truncate(LINES as usize);
    let older = lines.last().filter(|_| more).map(|line| line.row.id);
    Ok(Statement { lines, older, ..Statement::default() })
}

async fn daily(conn: &mut Conn, user: Id, calendar: &Days, wanted: Wanted) -> Result<Statement, Problem> {
    let mut days = statement::days(conn, calendar, user, wanted, DAYS + 1).await?;
    let more = days.len() > DAYS;
    days.truncate(DAYS);
    let older = days.last().filter(|_| more).map(|line| calendar.ids(line.day).0);
    Ok(Statement { days, older, ..Statement::default() })
}

/// `GET /account/wallet/statement.csv`: every movement that is asked for, oldest first, however many there are.
pub async fn download(State(site): State<Site>, Customer { user, page, .. }: Customer, Query(choice): Query<Choice>) -> Answer {
    let days = Days::of(&site.settings.now().time_zone);
    let (mut wanted, form) = choice.read(&page, &days);
    if form.is_bad() {
        return Err(Problem::BadRequest);
    }
    // What comes while the file is sent is not in it.
    wanted.until = wanted.until.min(Id::first_at(site.now() + 1));
    let after = Id(wanted.from.0 - 1);
    let mut tx = site.db.snapshot().await?;
    let balance = statement::balance_before(&mut tx, &days, user.id, wanted.from).await?;
    drop(tx);
    let head = ["id", "time_utc", "movement", "for", "reference", "amount_usd", "balance_usd"];
    let begin = Sending { site, page, user: user.id, wanted, at: Some((after, balance)), head: Some(csv::Row::of(head).line()) };
    Ok(csv::stream("statement", stream::try_unfold(begin, Sending::next)))
}

/// A statement on its way into a file.
struct Sending {
    site: Site,
    page: Page,
    user: Id,
    wanted: Wanted,
    /// The last movement that was read, and the balance after it.
    at: Option<(Id, Usd)>,
    head: Option<String>,
}

impl Sending {
    /// The next piece of the file.
    async fn next(mut self) -> Result<Option<(String, Self)>, sqlx::Error> {
        let mut text = self.head.take().unwrap_or_default();
        let Some(at) = self.at else { return Ok(None) };
        // No connection is kept while a slow reader takes its time.
        let portion = statement::onward(&mut *self.site.db.read().await?, self.user, self.wanted, at, PORTION).await?;
        self.at = portion.as_ref().map(|(_, at)| *at);
        let lines = portion.map_or_else(Vec::new, |(lines, _)| lines);
        lines.iter().for_each(|line| text.push_str(&self.line(line)));
        Ok(Some((text, self)))
    }

    fn line(&self, Line { row, effect, balance }: &Line) -> String {
        let cells = csv::Row::default().number(row.id).number(format::iso(row.at));
        let cells = cells.text(&self.page.transfer_kind(&row.kind)).text(&self.page.reference(&row.reference).words).text(&row.reference);
        cells.number(effect).number(balance).line()
    }
}
