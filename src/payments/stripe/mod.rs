//! Stripe, behind the trait [`Provider`].
//!
//! Requests go through async-stripe ([`client`], [`requests`]): its builders know the parameters of the version of the API that it names in every request.
//! Answers and messages are read by [`objects`] from the JSON itself, only those fields that count, so that a new field or word of Stripe's breaks nothing.
//! Our ids stand in the metadata of what we make (`farebox_order`, `farebox_user`, `farebox_plan`, `farebox_terms`), and only there they are believed: a `client_reference_id`
//! may come from a link that anybody can write.
//!
//! What is made has a key from our own ids, so that a lost answer is repaired by asking again; Stripe remembers keys for a day.

mod client;
mod event;
mod objects;
mod requests;
mod signature;
mod thing;

#[cfg(test)]
mod reading;

use super::provider::{
    Change, Charged, Checkout, Confirmation, Dispute, Event, Incoming, Invoice, InvoiceState, List, Movement, NewCheckout, NewCustomer, NewRefund, Page,
    Payment, PaymentState, Provider, ProviderError, Refund, Rejected, Sale, SavedCard, SavedCharge, Subscription, SubscriptionState, Unreadable, When,
};
use crate::config::StripeConfig;
use crate::kernel::secrets::Secret;
use async_trait::async_trait;
use axum::http::HeaderMap;
use client::{Api, path};
use serde_json::Value;
use stripe::StripeRequest;
use stripe_billing::billing_portal_session::CreateBillingPortalSession;
use stripe_billing::invoice::PayInvoice;
use stripe_billing::subscription::CancelSubscription;
use stripe_checkout::checkout_session::ExpireCheckoutSession;
use stripe_client_core::{RequestBuilder, StripeMethod};
use stripe_core::payment_intent::CancelPaymentIntent;
use thing::{Thing, is_id};

/// Why there is no Stripe.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    /// Without certificates nobody can be trusted.
    #[error("card payments need the certificates of authorities, and this machine has none: install the package ca-certificates")]
    NoCertificates,
    /// The key or the address cannot be used.
    #[error("STRIPE_SECRET_KEY or STRIPE_API_BASE cannot be used: {0}")]
    Settings(String),
}

/// One account at Stripe.
#[derive(Debug)]
pub struct Stripe {
    api: Api,
    webhook_secret: Option<Secret<String>>,
}

impl Stripe {
    /// Makes the client. Nothing is asked of Stripe yet.
    ///
    /// # Errors
    /// As [`CannotStart`] says.
    pub fn new(settings: &StripeConfig) -> Result<Self, CannotStart> {
        if !has_certificates() {
            return Err(CannotStart::NoCertificates);
        }
        let webhook_secret = settings.webhook_secret.clone().filter(|secret| !secret.reveal().trim().is_empty());
        if webhook_secret.is_none() {
            tracing::warn!("STRIPE_WEBHOOK_SECRET is not set: every message of Stripe's is refused, and payments are only found by asking");
        }
        let api = Api::new(&settings.secret_key, settings.api_base.as_deref()).map_err(|error| CannotStart::Settings(error.to_string()))?;
        Ok(Self { api, webhook_secret })
    }

    /// Tells what came of a payment that was just tried.
    async fn outcome(&self, payment: &str) -> Result<Charged, ProviderError> {
        let payment = self.look_at_payment(payment).await?;
        let declined = payment.decline.clone();
        Ok(match (payment.status, declined) {
            (PaymentState::Paid, _) => Charged::Paid(payment),
            (PaymentState::Processing, _) => Charged::Processing(payment),
            (PaymentState::NeedsAction, _) => Charged::NeedsAction(payment),
            (_, Some(decline)) if decline.code == "authentication_required" => Charged::NeedsAction(payment),
            (_, decline) => Charged::Declined(payment, decline.unwrap_or_else(|| objects::decline("unknown", None))),
        })
    }

    async fn ensure_product(&self, plan: crate::kernel::Id, title: &str) -> Result<(), ProviderError> {
        match self.api.send(requests::product(plan, title), None).await {
            Ok(_) => Ok(()),
            Err(failure) if failure.code == "resource_already_exists" => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn post(&self, request: RequestBuilder, key: Option<&str>) -> Result<Value, ProviderError> {
        Ok(self.api.send(request, key).await?)
    }
}

/// Whether this machine has certificates of authorities. The client cannot be made without any, and says so with a panic.
pub fn has_certificates() -> bool {
    !rustls_native_certs::load_native_certs().certs.is_empty()
}

/// Refuses what cannot be an id before it becomes part of a path.
fn checked(id: &str) -> Result<&str, ProviderError> {
    if is_id(id) { Ok(id) } else { Err(ProviderError::Unknown("not an id of Stripe's".to_owned())) }
}

#[async_trait]
impl Provider for Stripe {
    fn name(&self) -> &'static str {
        "stripe"
    }

    async fn customer(&self, new: &NewCustomer) -> Result<String, ProviderError> {
        let read = |customer: &Value| {
            let thing = Thing::new(customer, "customer")?;
            Ok((thing.ours("/metadata", objects::USER), thing.id()?))
        };
        let known = self.api.list("/customers", &List::default(), &[("email", &new.email)], read).await?;
        if let Some((_, id)) = known.items.into_iter().find(|(user, _)| *user == Some(new.user)) {
            return Ok(id);
        }
        // The address is part of the key: Stripe refuses the same key with another one.
        let key = format!("customer:{}:{}", new.user, &crate::kernel::secrets::hash(&new.email)[..16]);
        let customer = self.post(requests::customer(new), Some(&key)).await?;
        Ok(Thing::new(&customer, "customer")?.id()?)
    }

    async fn checkout(&self, new: &NewCheckout) -> Result<Checkout, ProviderError> {
        if let Sale::Renewing(plan) = &new.sale {
            self.ensure_product(plan.plan, &new.title).await?;
        }
        let session = self.post(requests::checkout(new), Some(&format!("checkout:{}", new.order))).await?;
        Ok(objects::checkout(&session)?)
    }

    async fn look_at_checkout(&self, checkout: &str) -> Result<Checkout, ProviderError> {
        Ok(objects::checkout(&self.api.get("checkout/sessions", checkout, &[]).await?)?)
    }

    async fn expire_checkout(&self, checkout: &str) -> Result<Checkout, ProviderError> {
        match self.api.send(ExpireCheckoutSession::new(checked(checkout)?).build(), None).await {
            Ok(session) => Ok(objects::checkout(&session)?),
            Err(failure) if failure.status == Some(400) => self.look_at_checkout(checkout).await,
            Err(failure) => Err(failure.into()),
        }
    }

    async fn checkouts(&self, list: &List) -> Result<Page<Checkout>, ProviderError> {
        self.api.list("/checkout/sessions", list, &[], objects::checkout).await
    }

    async fn saved_card(&self, customer: &str) -> Result<Option<SavedCard>, ProviderError> {
        let path = path("customers", customer, "/payment_methods")?;
        let cards = self.api.list(&path, &List::default(), &[("type", "card")], objects::card).await?;
        Ok(cards.items.into_iter().next())
    }

    async fn forget_card(&self, card: &str) -> Result<(), ProviderError> {
        let request = RequestBuilder::new(StripeMethod::Post, path("payment_methods", card, "/detach")?);
        match self.api.send(request, None).await {
            Ok(_) => Ok(()),
            // It was forgotten before.
            Err(failure) if failure.status == Some(400) => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    async fn charge_saved(&self, charge: &SavedCharge) -> Result<Charged, ProviderError> {
        // Made first and charged then: whatever is lost or cannot be read of the second answer, the payment can be looked at.
        let made = self.post(requests::payment(charge), Some(&format!("charge:{}", charge.order))).await?;
        let payment = Thing::new(&made, "payment_intent")?.id()?;
        let confirm = requests::confirm_away(&payment, checked(&charge.card)?);
        match self.api.send(confirm, Some(&format!("charge:{}:confirm", charge.order))).await {
            Ok(_) => self.outcome(&payment).await,
            Err(failure) if failure.may_be_the_card() => self.outcome(&payment).await,
            Err(failure) => Err(failure.into()),
        }
    }

    async fn confirm(&self, payment: &str, return_url: &str) -> Result<Confirmation, ProviderError> {
        let now = self.look_at_payment(checked(payment)?).await?;
        match now.status {
            PaymentState::Paid => return Ok(Confirmation::Paid(now)),
            PaymentState::Processing => return Ok(Confirmation::Processing(now)),
            PaymentState::Canceled => return Ok(Confirmation::Closed(now, None)),
            PaymentState::NeedsAction | PaymentState::NeedsCard => {}
        }
        let Some(card) = now.card.clone() else { return Ok(Confirmation::Closed(now, None)) };
        match self.api.send(requests::confirm_here(payment, checked(&card)?, return_url), None).await {
            Ok(answer) => {
                if let Some(url) = Thing::any(&answer, "payment_intent").text("/next_action/redirect_to_url/url") {
                    return Ok(Confirmation::Go(url.to_owned()));
                }
            }
            Err(failure) if failure.may_be_the_card() || failure.status == Some(400) => {}
            Err(failure) => return Err(failure.into()),
        }
        let then = self.look_at_payment(payment).await?;
        Ok(match then.status {
            PaymentState::Paid => Confirmation::Paid(then),
            PaymentState::Processing => Confirmation::Processing(then),
            _ => {
                let decline = then.decline.clone();
                Confirmation::Closed(then, decline)
            }
        })
    }

    async fn look_at_payment(&self, payment: &str) -> Result<Payment, ProviderError> {
        Ok(objects::payment(&self.api.get("payment_intents", payment, &[]).await?)?)
    }

    async fn cancel_payment(&self, payment: &str) -> Result<Payment, ProviderError> {
        match self.api.send(CancelPaymentIntent::new(checked(payment)?).build(), None).await {
            Ok(payment) => Ok(objects::payment(&payment)?),
            Err(failure) if failure.status == Some(400) => self.look_at_payment(payment).await,
            Err(failure) => Err(failure.into()),
        }
    }

    async fn refund(&self, new: &NewRefund) -> Result<Refund, ProviderError> {
        Ok(objects::refund(&self.post(requests::refund(new), Some(&format!("refund:{}", new.key))).await?)?)
    }

    async fn portal(&self, customer: &str, return_url: &str) -> Result<String, ProviderError> {
        let request = CreateBillingPortalSession::new().customer(customer).return_url(return_url).build();
        let session = self.post(request, None).await?;
        Ok(Thing::new(&session, "billing_portal.session")?.word("/url")?.to_owned())
    }

    async fn subscription(&self, subscription: &str) -> Result<Subscription, ProviderError> {
        Ok(objects::subscription(&self.api.get("subscriptions", subscription, &[]).await?)?)
    }

    async fn change_subscription(&self, change: &Change) -> Result<Subscription, ProviderError> {
        self.ensure_product(change.plan.plan, &change.title).await?;
        let before = self.api.get("subscriptions", &change.subscription, &[]).await?;
        let item = Thing::any(&before, "subscription").link("/items/data/0")?.ok_or_else(|| Unreadable("the subscription has no item".to_owned()))?;
        let answer = self.post(requests::change(change, &item), Some(&format!("change:{}", change.key))).await?;
        Ok(objects::subscription(&answer)?)
    }

    async fn cancel_subscription(&self, subscription: &str, when: When) -> Result<Subscription, ProviderError> {
        let before = self.subscription(checked(subscription)?).await?;
        if before.status == SubscriptionState::Ended || (when == When::PeriodEnd && before.ends_with_period) {
            return Ok(before);
        }
        let request = match when {
            When::Now => CancelSubscription::new(subscription).build(),
            When::PeriodEnd => requests::cancel_with_period(subscription, true),
        };
        match self.api.send(request, None).await {
            Ok(after) => Ok(objects::subscription(&after)?),
            // It has ended meanwhile: Stripe then answers as if there were none.
            Err(failure) if failure.status == Some(404) => self.subscription(subscription).await,
            Err(failure) => Err(failure.into()),
        }
    }

    async fn resume_subscription(&self, subscription: &str) -> Result<Subscription, ProviderError> {
        let request = requests::cancel_with_period(checked(subscription)?, false);
        Ok(objects::subscription(&self.post(request, None).await?)?)
    }

    async fn pay_invoice(&self, invoice: &str, key: &str) -> Result<Charged, ProviderError> {
        let tried = self.api.send(PayInvoice::new(checked(invoice)?).build(), Some(&format!("pay:{key}"))).await;
        let after = match tried {
            Err(failure) if !failure.may_be_the_card() && failure.status != Some(400) => return Err(failure.into()),
            _ => self.look_at_invoice(invoice).await?,
        };
        let Some(payment) = &after.payment else { return Err(ProviderError::Refused(format!("invoice {invoice} has no payment"))) };
        let charged = self.outcome(payment).await?;
        // The bill is what counts: a payment that an older attempt left behind does not pay it.
        match charged {
            Charged::Paid(payment) if after.status != InvoiceState::Paid => Ok(Charged::Processing(payment)),
            charged => Ok(charged),
        }
    }

    async fn look_at_invoice(&self, invoice: &str) -> Result<Invoice, ProviderError> {
        Ok(objects::invoice(&self.api.get("invoices", invoice, &[("expand[]", "payments")]).await?)?)
    }

    async fn invoices(&self, subscription: &str, list: &List) -> Result<Page<Invoice>, ProviderError> {
        self.api.list("/invoices", list, &[("subscription", subscription), ("expand[]", "data.payments")], objects::invoice).await
    }

    async fn payments(&self, list: &List) -> Result<Page<Payment>, ProviderError> {
        self.api.list("/payment_intents", list, &[], objects::payment).await
    }

    async fn refunds(&self, list: &List) -> Result<Page<Refund>, ProviderError> {
        self.api.list("/refunds", list, &[], objects::refund).await
    }

    async fn disputes(&self, list: &List) -> Result<Page<Dispute>, ProviderError> {
        self.api.list("/disputes", list, &[], objects::dispute).await
    }

    async fn movements(&self, list: &List) -> Result<Page<Movement>, ProviderError> {
        self.api.list("/balance_transactions", list, &[("expand[]", "data.source")], objects::movement).await
    }

    async fn events(&self, list: &List) -> Result<Page<Incoming>, ProviderError> {
        self.api.list("/events", list, &[], event::fetched).await
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8], now_ms: i64) -> Result<Incoming, Rejected> {
        let secret = self.webhook_secret.as_ref().ok_or(Rejected::NoSecret)?;
        let mut signatures = headers.get_all("stripe-signature").iter();
        let header = signatures.next().ok_or(Rejected::Unsigned)?;
        if signatures.next().is_some() {
            return Err(Rejected::Malformed);
        }
        signature::check(secret.reveal(), header.as_bytes(), body, now_ms)?;
        event::incoming(body).map_err(|_| Rejected::NoEvent)
    }

    fn read(&self, raw: &[u8]) -> Result<Event, Unreadable> {
        event::read(raw)
    }
}
