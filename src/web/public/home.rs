//! `/`: what is sold, what it costs, how to start.

use super::views::{Home, ModelRow};
use crate::web::error::Answer;
use crate::web::page::render;
use crate::web::snippets::quick_start;
use crate::web::who::Guest;
use crate::web::{Problem, Site};
use axum::extract::State;

/// The key in snippets for those who have none yet.
pub const EXAMPLE_KEY: &str = "sk-...";

/// `GET /`
pub async fn show(State(site): State<Site>, Guest { page, .. }: Guest) -> Answer {
    let now = site.now();
    let on_sale = site.catalog.iter().filter(|model| model.enabled);
    let models: Vec<ModelRow> = on_sale.filter_map(|model| Some(ModelRow { name: model.name.clone(), prices: model.prices_at(now)? })).collect();
    let snippets = quick_start(&page.base_url, &example_model(&site), EXAMPLE_KEY);
    Ok(render(&Home { page, snippets, models }))
}

/// The model in snippets: the first that can be called.
pub fn example_model(site: &Site) -> String {
    let now = site.now();
    site.catalog.iter().find(|model| model.is_callable(now)).map_or_else(|| "gpt-4o-mini".to_owned(), |model| model.name.clone())
}

/// Every path that nothing else answers.
pub async fn not_found() -> Problem {
    Problem::NotFound
}
