//! `/admin/accounting`: the figures of a year, a month or a day, as a page and as a file.

use super::money_views::Accounting;
use crate::accounting::{self, Figures, Line, Period, Report, Standing};
use crate::kernel::Days;
use crate::web::error::{Answer, Problem};
use crate::web::page::render;
use crate::web::who::{Admin, Customer};
use crate::web::{Site, csv};
use axum::extract::{Query, State};

/// Which period.
#[derive(serde::Deserialize)]
pub struct Choice {
    period: Option<String>,
}

/// A period and its figures, as they are in one snapshot.
async fn read(site: &Site, choice: &Choice) -> Result<(Days, Period, Report, bool), Problem> {
    let days = Days::of(&site.settings.now().time_zone);
    let today = days.day(site.now());
    let period = match choice.period.as_deref() {
        Some(text) => text.parse().map_err(|_| Problem::NotFound)?,
        None => Period::Month(today.month()),
    };
    let report = accounting::report(&mut *site.db.snapshot().await?, &days, period, today).await?;
    let has_next = period.next().bounds().0 <= today;
    Ok((days, period, report, has_next))
}

/// `GET /admin/accounting`
pub async fn show(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Query(choice): Query<Choice>) -> Answer {
    let (days, period, report, has_next) = read(&site, &choice).await?;
    Ok(render(&Accounting { page, period, report, has_next, zone: days.zone().to_owned() }))
}

/// What stands above the columns of the file. All amounts are dollars, exact.
const COLUMNS: [&str; 22] = [
    "period",
    "received",
    "refunds",
    "disputes",
    "fees",
    "revenue",
    "promotion",
    "breakage",
    "losses",
    "adjustments",
    "upstream_cost",
    "upstream_cost_unknown",
    "margin",
    "requests",
    "deferred_change",
    "receivable_change",
    "credit",
    "plans",
    "gift_cards",
    "deferred",
    "receivable",
    "difference",
];

/// `GET /admin/accounting/figures.csv`: a line for each part of the period, and one for all of it.
pub async fn download(State(site): State<Site>, Admin(_): Admin, Query(choice): Query<Choice>) -> Answer {
    let (_, period, report, _) = read(&site, &choice).await?;
    let mut text = csv::Row::of(COLUMNS).line();
    let parts = if matches!(period, Period::Day(_)) { &[][..] } else { &report.lines[..] };
    parts.iter().chain([&report.total]).for_each(|line| text.push_str(&row(line)));
    Ok(csv::whole(&format!("accounting-{period}"), text))
}

fn row(Line { period, figures, closing }: &Line) -> String {
    let Figures { received, refunds, disputes, fees, revenue, promotion, breakage, losses, adjustments, deferred, receivable, cost } = figures;
    let Standing { credit, plans, cards, receivable: owed } = closing;
    let cells = csv::Row::default().number(period);
    let cells = [received, refunds, disputes, fees, revenue, promotion, breakage, losses, adjustments, &cost.cost].into_iter().fold(cells, csv::Row::number);
    let cells = cells.number(cost.unknown).number(figures.margin()).number(cost.requests).number(deferred).number(receivable);
    cells.number(credit).number(plans).number(cards).number(closing.deferred()).number(owed).number(figures.difference()).line()
}
