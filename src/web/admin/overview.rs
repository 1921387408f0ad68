//! `/admin`: today, and what is left to do in a new shop.

use super::views::Overview;
use crate::web::Site;
use crate::web::error::Answer;
use crate::web::format::day_start;
use crate::web::page::render;
use crate::web::who::{Admin, Customer};
use crate::{accounts, catalog, channels, usage};
use axum::extract::State;

/// `GET /admin`
pub async fn show(State(site): State<Site>, Admin(Customer { page, .. }): Admin) -> Answer {
    let now = site.now();
    let mut conn = site.db.read().await?;
    let (requests, revenue) = usage::shop_since(&mut conn, day_start(now)).await?;
    let users = accounts::count(&mut conn).await?;
    let channels = channels::list(&mut conn, &site.secret).await?.len();
    let models = catalog::list(&mut conn, now).await?.len();
    Ok(render(&Overview { page, revenue, requests, users, channels, models }))
}
