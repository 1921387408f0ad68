//! `/admin/coupons`: codes that take something off a purchase.

use super::views::{Coupon, Coupons};
use crate::coupons::{self, CouponFields, CouponView, Draft, Off, SaveError, UseState};
use crate::kernel::{FieldError, Id, Money};
use crate::web::error::{Answer, Problem};
use crate::web::page::{render, render_as};
use crate::web::who::{Admin, Customer};
use crate::web::{Form, Page, Site, flash};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

const PAGE: i64 = 50;

/// A search and which page of it.
#[derive(serde::Deserialize)]
pub struct Search {
    #[serde(default)]
    q: String,
    before: Option<Id>,
}

/// `GET /admin/coupons`
pub async fn list(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Query(search): Query<Search>) -> Answer {
    let form = Form::empty(page.lang).fill("q", &search.q);
    let mut coupons = coupons::list(&mut *site.db.read().await?, &search.q, search.before, PAGE + 1).await?;
    let more = coupons.len() as i64 > PAGE;
    coupons.truncate(PAGE as usize);
    let link = |last: &CouponView| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        format!("/admin/coupons?{}", query.append_pair("q", &search.q).append_pair("before", &last.id.to_string()).finish())
    };
    let older = coupons.last().filter(|_| more).map(link);
    Ok(render(&Coupons { page, coupons, form, older, now: site.now() }))
}

/// `GET /admin/coupons/new`
pub async fn blank(Admin(Customer { page, .. }): Admin) -> Answer {
    let form = Form::empty(page.lang).fill("kind", "percent").fill("top_up", "on").fill("plans", "on").fill("per_customer", "1").fill("enabled", "on");
    Ok(render(&Coupon { page, coupon: None, uses: vec![], older: None, form }))
}

/// `POST /admin/coupons/new`
pub async fn create(State(site): State<Site>, Admin(Customer { page, user, session, .. }): Admin, mut form: Form) -> Answer {
    match save(&site, user.id, None, &form).await {
        Ok(id) => {
            flash::good(&session, page.t("common.saved")).await?;
            Ok(Redirect::to(&format!("/admin/coupons/{id}")).into_response())
        }
        Err(error) => {
            form.refuse_all(&mistakes(error)?);
            Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &Coupon { page, coupon: None, uses: vec![], older: None, form }))
        }
    }
}

/// Which page of a coupon's orders.
#[derive(serde::Deserialize)]
pub struct Cursor {
    before: Option<Id>,
}

/// `GET /admin/coupons/{id}`
pub async fn edit(State(site): State<Site>, Admin(Customer { page, .. }): Admin, Path(id): Path<Id>, Query(cursor): Query<Cursor>) -> Answer {
    let coupon = coupons::find(&mut *site.db.read().await?, id).await?.ok_or(Problem::NotFound)?;
    let form = coupon.draft.fields().into_iter().fold(Form::empty(page.lang), |form, (name, value)| form.fill(name, value));
    Ok(render(&full(&site, page, coupon, cursor.before, form).await?))
}

/// `POST /admin/coupons/{id}`
pub async fn update(State(site): State<Site>, Admin(Customer { page, user, session, .. }): Admin, Path(id): Path<Id>, mut form: Form) -> Answer {
    match save(&site, user.id, Some(id), &form).await {
        Ok(id) => {
            flash::good(&session, page.t("common.saved")).await?;
            Ok(Redirect::to(&format!("/admin/coupons/{id}")).into_response())
        }
        Err(error) => {
            form.refuse_all(&mistakes(error)?);
            let coupon = coupons::find(&mut *site.db.read().await?, id).await?.ok_or(Problem::NotFound)?;
            Ok(render_as(StatusCode::UNPROCESSABLE_ENTITY, &full(&site, page, coupon, None, form).await?))
        }
    }
}

async fn full(site: &Site, page: Page, coupon: CouponView, before: Option<Id>, form: Form) -> Result<Coupon, Problem> {
    let mut uses = coupons::uses(&mut *site.db.read().await?, coupon.id, before, PAGE + 1).await?;
    let more = uses.len() as i64 > PAGE;
    uses.truncate(PAGE as usize);
    let older = uses.last().filter(|_| more).map(|last| format!("/admin/coupons/{}?before={}", coupon.id, last.order));
    Ok(Coupon { page, coupon: Some(coupon), uses, older, form })
}

async fn save(site: &Site, actor: Id, id: Option<Id>, form: &Form) -> Result<Id, SaveError> {
    let draft = Draft::parse(&CouponFields::read(|name| form.text(name))).map_err(SaveError::Invalid)?;
    coupons::save(&site.db, &site.kit, actor, id, &draft).await
}

fn mistakes(error: SaveError) -> Result<Vec<FieldError>, Problem> {
    match error {
        SaveError::Invalid(mistakes) => Ok(mistakes),
        SaveError::NotFound => Err(Problem::NotFound),
        SaveError::Database(error) => Err(error.into()),
    }
}

impl Page {
    /// What a coupon may give, for a form.
    pub fn coupon_kinds(&self) -> Vec<(&'static str, String)> {
        [("percent", "coupon.percent"), ("amount", "coupon.amount"), ("bonus", "coupon.bonus")].map(|(word, key)| (word, self.t(key).into_owned())).into()
    }

    /// What a coupon gives, in short.
    pub fn coupon_gives(&self, coupon: &CouponView) -> String {
        match &coupon.draft.terms.off {
            Off::Percent(_) => format!("-{} %", coupon.draft.percent()),
            Off::Amount(amounts) => {
                amounts.iter().map(|(currency, minor)| format!("-{}", Money::new(*minor, *currency).display())).collect::<Vec<_>>().join(", ")
            }
            Off::Bonus(bonus) => format!("+{}", bonus.display()),
        }
    }

    /// What became of a coupon in an order, and how it looks.
    pub fn coupon_use(&self, state: &UseState) -> (&'static str, String) {
        let (tone, key) = match state {
            UseState::Reserved => ("", "coupon.state_reserved"),
            UseState::Used => ("good", "coupon.state_used"),
            UseState::Released => ("warn", "coupon.state_released"),
        };
        (tone, self.t(key).into_owned())
    }
}
