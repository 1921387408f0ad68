//! Customers, products, prices.

use super::api::Refusal;
use super::checkout;
use super::form::{object, text};
use super::world::{Kind, World};
use serde_json::{Value, json};

/// Answers `POST /v1/customers`.
pub(super) fn new_customer(world: &mut World, form: &Value) -> Value {
    let fields = json!({"email": text(form, "/email"), "name": text(form, "/name"), "metadata": object(form, "/metadata")});
    let customer = world.make(Kind::Customer, fields);
    world.emit("customer.created", &customer);
    world.show(&customer)
}

/// Answers `POST /v1/customers/{id}`.
pub(super) fn change_customer(world: &mut World, customer: &str, form: &Value) -> Value {
    for name in ["email", "name"] {
        if let Some(value) = text(form, &format!("/{name}")) {
            world.set(customer, json!({name: value}));
        }
    }
    if let Some(method) = text(form, "/invoice_settings/default_payment_method") {
        let mut settings = world.get(customer)["invoice_settings"].clone();
        settings["default_payment_method"] = json!(method);
        world.set(customer, json!({"invoice_settings": settings}));
    }
    world.emit("customer.updated", customer);
    world.show(customer)
}

/// Answers `POST /v1/products`. The shop may choose the id.
pub(super) fn new_product(world: &mut World, form: &Value) -> Result<Value, Refusal> {
    let name = text(form, "/name").ok_or_else(|| Refusal::invalid("name", "Missing required param: name.", "parameter_missing"))?;
    let mut fields = json!({"name": name, "metadata": object(form, "/metadata"), "updated": world.now()});
    if let Some(id) = text(form, "/id") {
        if world.find(Kind::Product, id).is_some() {
            return Err(Refusal::invalid("id", "Product already exists.", "resource_already_exists"));
        }
        fields["id"] = json!(id);
    }
    let product = world.make(Kind::Product, fields);
    Ok(world.show(&product))
}

/// A price as it stands in a request (`price_data`): made at once, with its product when that is described, too.
pub(super) fn price_of(world: &mut World, data: &Value) -> Result<String, Refusal> {
    let (unit, currency) = checkout::unit(data)?;
    let product = match (text(data, "/product"), text(data, "/product_data/name")) {
        (Some(product), _) => world.find(Kind::Product, product).map(|_| product.to_owned()).ok_or_else(|| Refusal::missing("product", product, "product"))?,
        (None, Some(name)) => world.make(Kind::Product, json!({"name": name})),
        (None, None) => return Err(Refusal::invalid("product", "One of product or product_data is required.", "parameter_missing")),
    };
    let recurring = match text(data, "/recurring/interval") {
        None => Value::Null,
        Some(unit) if ["day", "week", "month", "year"].contains(&unit) => {
            let count: i64 = text(data, "/recurring/interval_count").unwrap_or("1").parse().unwrap_or_default();
            if !(1..=1095).contains(&count) {
                return Err(Refusal::invalid("interval_count", "The maximum interval is three years.", ""));
            }
            json!({"interval": unit, "interval_count": count, "meter": null, "trial_period_days": null, "usage_type": "licensed"})
        }
        Some(_) => return Err(Refusal::invalid("interval", "Invalid interval: must be one of day, month, week, or year", "")),
    };
    let kind = if recurring.is_null() { "one_time" } else { "recurring" };
    let fields =
        json!({"currency": currency, "unit_amount": unit, "unit_amount_decimal": unit.to_string(), "product": product, "recurring": recurring, "type": kind});
    Ok(world.make(Kind::Price, fields))
}

/// Answers `POST /v1/prices`.
pub(super) fn new_price(world: &mut World, form: &Value) -> Result<Value, Refusal> {
    let price = price_of(world, form)?;
    Ok(world.show(&price))
}

/// Answers `POST /v1/billing_portal/sessions`.
pub(super) fn new_portal(world: &mut World, form: &Value) -> Result<Value, Refusal> {
    let customer = text(form, "/customer").unwrap_or_default().to_owned();
    world.find(Kind::Customer, &customer).ok_or_else(|| Refusal::missing("customer", &customer, "customer"))?;
    let portal = world.make(Kind::Portal, json!({"customer": customer, "return_url": text(form, "/return_url")}));
    let url = format!("{}/p/session/{portal}", world.base);
    world.set(&portal, json!({"url": url}));
    Ok(world.show(&portal))
}
