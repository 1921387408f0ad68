//! Our requests in Stripe's parameters, through async-stripe's builders: a parameter that its version of the API does not have does not compile.

use super::objects::{ORDER, PLAN, USER, VERSION};
use crate::kernel::{Currency, Id};
use crate::payments::provider::{Change, Every, NewCheckout, NewCustomer, NewRefund, RenewingPlan, Sale, SavedCharge, Unit, When};
use std::collections::{BTreeMap, HashMap};
use stripe::StripeRequest;
use stripe_billing::subscription::{
    UpdateSubscription, UpdateSubscriptionBillingCycleAnchor, UpdateSubscriptionBillingCycleAnchorType, UpdateSubscriptionItems,
    UpdateSubscriptionItemsPriceData, UpdateSubscriptionItemsPriceDataRecurring, UpdateSubscriptionItemsPriceDataRecurringInterval,
    UpdateSubscriptionPaymentBehavior, UpdateSubscriptionProrationBehavior,
};
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionAdaptivePricing, CreateCheckoutSessionLineItems, CreateCheckoutSessionLineItemsPriceData,
    CreateCheckoutSessionLineItemsPriceDataRecurring, CreateCheckoutSessionLineItemsPriceDataRecurringInterval, CreateCheckoutSessionPaymentIntentData,
    CreateCheckoutSessionPaymentIntentDataSetupFutureUsage, CreateCheckoutSessionSubscriptionData, ProductData,
};
use stripe_checkout::{CheckoutSessionLocale, CheckoutSessionMode};
use stripe_client_core::{RequestBuilder, StripeMethod};
use stripe_core::customer::CreateCustomer;
use stripe_core::payment_intent::{ConfirmPaymentIntent, ConfirmPaymentIntentOffSession, CreatePaymentIntent};
use stripe_core::refund::CreateRefund;

fn ours(pairs: &[(&str, Id)]) -> HashMap<String, String> {
    pairs.iter().map(|(name, id)| ((*name).to_owned(), id.to_string())).collect()
}

fn currency(currency: Currency) -> stripe_types::Currency {
    match currency.lower().parse() {
        Ok(currency) => currency,
        Err(never) => match never {},
    }
}

pub(super) fn customer(new: &NewCustomer) -> RequestBuilder {
    CreateCustomer::new().email(new.email.as_str()).metadata(ours(&[(USER, new.user)])).build()
}

/// What a plan is called in Stripe's list of products.
pub(super) fn product_id(plan: Id) -> String {
    format!("farebox_plan_{plan}")
}

/// A product that is there already is left as it is.
pub(super) fn product(plan: Id, title: &str) -> RequestBuilder {
    RequestBuilder::new(StripeMethod::Post, "/products").form(&BTreeMap::from([("id", product_id(plan).as_str()), ("name", title)]))
}

pub(super) fn checkout(new: &NewCheckout) -> RequestBuilder {
    let metadata = ours(&[(ORDER, new.order), (USER, new.user)]);
    let mut price = CreateCheckoutSessionLineItemsPriceData::new(currency(new.price.currency));
    price.unit_amount = Some(new.price.minor);
    let mut request = CreateCheckoutSession::new()
        .client_reference_id(new.order.to_string())
        .customer(new.customer.as_str())
        .metadata(metadata.clone())
        .success_url(new.success_url.as_str())
        .cancel_url(new.cancel_url.as_str())
        .expires_at(new.expires_at.div_euclid(1000))
        .locale(locale(&new.language))
        // The customer pays in the currency of the order, and in no other that Stripe would choose.
        .adaptive_pricing(CreateCheckoutSessionAdaptivePricing { enabled: Some(false) });
    match &new.sale {
        Sale::Once { save_card } => {
            price.product_data = Some(ProductData::new(new.title.as_str()));
            let mut data = CreateCheckoutSessionPaymentIntentData::new();
            data.metadata = Some(metadata);
            data.description = Some(new.title.clone());
            data.setup_future_usage = save_card.then_some(CreateCheckoutSessionPaymentIntentDataSetupFutureUsage::OffSession);
            request = request.mode(CheckoutSessionMode::Payment).payment_intent_data(data);
        }
        Sale::Renewing(plan) => {
            price.product = Some(product_id(plan.plan));
            price.recurring = Some(recurring(plan.every));
            let mut data = CreateCheckoutSessionSubscriptionData::new();
            data.metadata = Some(ours(&[(ORDER, new.order), (USER, new.user), (PLAN, plan.plan), (VERSION, plan.version)]));
            data.trial_period_days = Some(plan.trial_days).filter(|days| *days > 0);
            request = request.mode(CheckoutSessionMode::Subscription).subscription_data(data);
        }
    }
    let line = CreateCheckoutSessionLineItems { price_data: Some(price), quantity: Some(1), ..CreateCheckoutSessionLineItems::new() };
    request.line_items(vec![line]).build()
}

fn recurring(every: Every) -> CreateCheckoutSessionLineItemsPriceDataRecurring {
    use CreateCheckoutSessionLineItemsPriceDataRecurringInterval as Interval;
    let interval = match every.unit {
        Unit::Day => Interval::Day,
        Unit::Week => Interval::Week,
        Unit::Month => Interval::Month,
        Unit::Year => Interval::Year,
    };
    CreateCheckoutSessionLineItemsPriceDataRecurring { interval, interval_count: Some(u64::from(every.count)) }
}

/// The page's language, or that of the browser when Stripe does not speak it.
fn locale(language: &str) -> CheckoutSessionLocale {
    match language.split('-').next().unwrap_or_default() {
        "en" => CheckoutSessionLocale::En,
        "zh" => CheckoutSessionLocale::Zh,
        _ => CheckoutSessionLocale::Auto,
    }
}

pub(super) fn payment(charge: &SavedCharge) -> RequestBuilder {
    CreatePaymentIntent::new(charge.amount.minor, currency(charge.amount.currency))
        .customer(charge.customer.as_str())
        .description(charge.title.as_str())
        .metadata(ours(&[(ORDER, charge.order), (USER, charge.user)]))
        .build()
}

/// Charges while the customer is away.
pub(super) fn confirm_away(payment: &str, card: &str) -> RequestBuilder {
    ConfirmPaymentIntent::new(payment).payment_method(card).off_session(ConfirmPaymentIntentOffSession::Bool(true)).build()
}

/// Charges a customer who is here and comes back to `return_url` from the bank's page.
pub(super) fn confirm_here(payment: &str, card: &str, return_url: &str) -> RequestBuilder {
    ConfirmPaymentIntent::new(payment).payment_method(card).return_url(return_url).build()
}

pub(super) fn refund(new: &NewRefund) -> RequestBuilder {
    CreateRefund::new().payment_intent(new.payment.as_str()).amount(new.amount.minor).metadata(ours(&[(ORDER, new.order)])).build()
}

/// `item` is the one line that the subscription has.
pub(super) fn change(change: &Change, item: &str) -> RequestBuilder {
    let plan: &RenewingPlan = &change.plan;
    use UpdateSubscriptionItemsPriceDataRecurringInterval as Interval;
    let interval = match plan.every.unit {
        Unit::Day => Interval::Day,
        Unit::Week => Interval::Week,
        Unit::Month => Interval::Month,
        Unit::Year => Interval::Year,
    };
    let recurring = UpdateSubscriptionItemsPriceDataRecurring { interval, interval_count: Some(u64::from(plan.every.count)) };
    let mut price = UpdateSubscriptionItemsPriceData::new(currency(change.price.currency), product_id(plan.plan), recurring);
    price.unit_amount = Some(change.price.minor);
    let item = UpdateSubscriptionItems { id: Some(item.to_owned()), price_data: Some(price), ..UpdateSubscriptionItems::new() };
    let request = UpdateSubscription::new(change.subscription.as_str())
        .items(vec![item])
        .metadata(ours(&[(PLAN, plan.plan), (VERSION, plan.version)]))
        .cancel_at_period_end(false);
    match change.when {
        When::PeriodEnd => request.proration_behavior(UpdateSubscriptionProrationBehavior::None).build(),
        When::Now => {
            let credit = if change.credit_unused { UpdateSubscriptionProrationBehavior::AlwaysInvoice } else { UpdateSubscriptionProrationBehavior::None };
            request
                .billing_cycle_anchor(UpdateSubscriptionBillingCycleAnchor::new(UpdateSubscriptionBillingCycleAnchorType::Now))
                .proration_behavior(credit)
                .payment_behavior(UpdateSubscriptionPaymentBehavior::ErrorIfIncomplete)
                .off_session(true)
                .build()
        }
    }
}

pub(super) fn cancel_with_period(subscription: &str, cancel: bool) -> RequestBuilder {
    UpdateSubscription::new(subscription).cancel_at_period_end(cancel).build()
}
