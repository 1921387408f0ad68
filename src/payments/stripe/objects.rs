//! Stripe's objects in the shop's own types. The shapes of several versions of the API are understood, since messages come in the version of the endpoint.

use super::thing::Thing;
use crate::kernel::Money;
use crate::payments::provider::{
    Checkout, CheckoutStatus, Decline, DeclineReason, Dispute, DisputeState, Invoice, InvoiceReason, InvoiceState, Mode, Movement, MovementKind, Payment,
    PaymentState, PaymentStatus, Refund, RefundState, Refunded, SavedCard, Subscription, SubscriptionState, Unreadable,
};
use serde_json::Value;

/// The names of our own ids in the metadata of Stripe's objects.
pub(super) const ORDER: &str = "farebox_order";
pub(super) const USER: &str = "farebox_user";
pub(super) const PLAN: &str = "farebox_plan";
pub(super) const VERSION: &str = "farebox_terms";

pub(super) fn checkout(value: &Value) -> Result<Checkout, Unreadable> {
    let thing = Thing::new(value, "checkout.session")?;
    Ok(Checkout {
        id: thing.id()?,
        url: thing.text("/url").map(str::to_owned),
        order: thing.ours("/metadata", ORDER),
        customer: thing.link("/customer")?,
        mode: match thing.word("/mode")? {
            "payment" => Mode::Payment,
            "subscription" => Mode::Subscription,
            _ => Mode::Other,
        },
        status: match thing.word("/status")? {
            "open" => CheckoutStatus::Open,
            "complete" => CheckoutStatus::Complete,
            "expired" => CheckoutStatus::Expired,
            _ => return Err(thing.wrong("/status")),
        },
        payment_status: match thing.word("/payment_status")? {
            "paid" => PaymentStatus::Paid,
            "unpaid" => PaymentStatus::Unpaid,
            "no_payment_required" => PaymentStatus::NothingDue,
            _ => return Err(thing.wrong("/payment_status")),
        },
        total: thing.money("/amount_total")?,
        payment: thing.link("/payment_intent")?,
        subscription: thing.link("/subscription")?,
        invoice: thing.link("/invoice")?,
        created_at: thing.moment("/created")?,
        expires_at: thing.moment("/expires_at")?,
    })
}

pub(super) fn payment(value: &Value) -> Result<Payment, Unreadable> {
    let thing = Thing::new(value, "payment_intent")?;
    let status = match thing.word("/status")? {
        "succeeded" => PaymentState::Paid,
        "processing" | "requires_capture" => PaymentState::Processing,
        "requires_action" => PaymentState::NeedsAction,
        "requires_payment_method" | "requires_confirmation" => PaymentState::NeedsCard,
        "canceled" => PaymentState::Canceled,
        _ => return Err(thing.wrong("/status")),
    };
    Ok(Payment {
        id: thing.id()?,
        order: thing.ours("/metadata", ORDER),
        customer: thing.link("/customer")?,
        status,
        amount: thing.money("/amount")?,
        received: match thing.get("/amount_received") {
            Some(_) => thing.money("/amount_received")?,
            None => Money::zero(thing.currency()?),
        },
        decline: thing.get("/last_payment_error").filter(|_| status != PaymentState::Paid).map(|error| {
            let error = Thing::any(error, "error");
            decline(error.text("/code").unwrap_or_default(), error.text("/decline_code"))
        }),
        card: match thing.link("/payment_method")? {
            Some(card) => Some(card),
            None => thing.link("/last_payment_error/payment_method")?,
        },
        created_at: thing.moment("/created")?,
    })
}

/// What Stripe's codes mean for a customer ("Decline codes", "Error codes").
pub(super) fn decline(code: &str, decline_code: Option<&str>) -> Decline {
    let word = decline_code.filter(|code| !code.is_empty()).unwrap_or(code);
    let reason = match word {
        "insufficient_funds" | "card_velocity_exceeded" | "withdrawal_count_limit_exceeded" => DeclineReason::Funds,
        "authentication_required" | "payment_intent_authentication_failure" | "setup_intent_authentication_failure" => DeclineReason::Confirmation,
        "processing_error" | "issuer_not_available" | "try_again_later" | "reenter_transaction" | "approve_with_id" => DeclineReason::Passing,
        _ if word.starts_with("expired_") || word.starts_with("invalid_") || word.starts_with("incorrect_") => DeclineReason::Card,
        _ => DeclineReason::Bank,
    };
    Decline { code: word.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(64).collect(), reason }
}

pub(super) fn card(value: &Value) -> Result<SavedCard, Unreadable> {
    let thing = Thing::new(value, "payment_method")?;
    let date = |pointer: &str| thing.number(pointer).ok().flatten();
    let expires = date("/card/exp_month").zip(date("/card/exp_year"));
    Ok(SavedCard {
        id: thing.id()?,
        brand: thing.text("/card/brand").or_else(|| thing.text("/type")).unwrap_or_default().to_owned(),
        last4: thing.text("/card/last4").unwrap_or_default().to_owned(),
        expires: expires.and_then(|(month, year)| Some((u8::try_from(month).ok()?, u16::try_from(year).ok()?))),
    })
}

pub(super) fn refund(value: &Value) -> Result<Refund, Unreadable> {
    let thing = Thing::new(value, "refund")?;
    Ok(Refund {
        id: thing.id()?,
        payment: thing.link("/payment_intent")?,
        order: thing.ours("/metadata", ORDER),
        amount: thing.money("/amount")?,
        status: match thing.text("/status") {
            Some("succeeded") | None => RefundState::Done,
            Some("failed" | "canceled") => RefundState::Failed,
            Some(_) => RefundState::Pending,
        },
        created_at: thing.moment("/created")?,
    })
}

/// From a charge.
pub(super) fn refunded(value: &Value) -> Result<Refunded, Unreadable> {
    let thing = Thing::new(value, "charge")?;
    Ok(Refunded {
        payment: thing.link("/payment_intent")?,
        order: thing.ours("/metadata", ORDER),
        amount: thing.money("/amount")?,
        refunded: thing.money("/amount_refunded")?,
    })
}

pub(super) fn subscription(value: &Value) -> Result<Subscription, Unreadable> {
    let thing = Thing::new(value, "subscription")?;
    let item = Thing::any(thing.items("/items/data").first().ok_or_else(|| thing.wrong("/items"))?, "subscription.items.data");
    // The period stood on the subscription itself until 2025.
    let period = |name: &str| match item.time(name)? {
        Some(at) => Ok(at),
        None => thing.moment(name),
    };
    let unit = item.number("/price/unit_amount")?.filter(|unit| *unit >= 0).ok_or_else(|| item.wrong("/price/unit_amount"))?;
    let total = unit.checked_mul(item.number("/quantity")?.unwrap_or(1)).ok_or_else(|| item.wrong("/quantity"))?;
    Ok(Subscription {
        id: thing.id()?,
        order: thing.ours("/metadata", ORDER),
        plan: thing.ours("/metadata", PLAN),
        version: thing.ours("/metadata", VERSION),
        customer: thing.link("/customer")?.ok_or_else(|| thing.wrong("/customer"))?,
        status: match thing.word("/status")? {
            "incomplete" => SubscriptionState::Incomplete,
            "trialing" => SubscriptionState::Trial,
            "active" => SubscriptionState::Active,
            "past_due" => SubscriptionState::PastDue,
            "unpaid" => SubscriptionState::Unpaid,
            "paused" => SubscriptionState::Paused,
            "canceled" | "incomplete_expired" => SubscriptionState::Ended,
            _ => return Err(thing.wrong("/status")),
        },
        price: Money::new(total, thing.currency()?),
        period_start: period("/current_period_start")?,
        period_end: period("/current_period_end")?,
        ends_with_period: thing.is("/cancel_at_period_end"),
        ended_at: thing.time("/ended_at")?,
        latest_invoice: thing.link("/latest_invoice")?,
    })
}

pub(super) fn invoice(value: &Value) -> Result<Invoice, Unreadable> {
    let thing = Thing::new(value, "invoice")?;
    // `parent` since 2025, the fields of the invoice itself before.
    let parent = if thing.get("/parent/subscription_details").is_some() { "/parent/subscription_details" } else { "" };
    let metadata = if parent.is_empty() { "/subscription_details/metadata" } else { "/parent/subscription_details/metadata" };
    let (period_start, period_end) = period(&thing)?;
    let payment = match thing.items("/payments/data").iter().rev().map(|paid| Thing::any(paid, "invoice.payments.data").link("/payment/payment_intent")).next()
    {
        Some(payment) => payment?,
        None => thing.link("/payment_intent")?,
    };
    Ok(Invoice {
        id: thing.id()?,
        subscription: thing.link(&format!("{parent}/subscription"))?,
        order: thing.ours(metadata, ORDER),
        version: thing.ours(metadata, VERSION),
        customer: thing.link("/customer")?,
        status: match thing.word("/status")? {
            "draft" => InvoiceState::Draft,
            "open" => InvoiceState::Open,
            "paid" => InvoiceState::Paid,
            "void" | "uncollectible" => InvoiceState::Void,
            _ => return Err(thing.wrong("/status")),
        },
        reason: match thing.text("/billing_reason") {
            Some("subscription_create") => InvoiceReason::First,
            Some("subscription_cycle") => InvoiceReason::Renewal,
            Some("subscription_update") => InvoiceReason::Change,
            _ => InvoiceReason::Other,
        },
        total: thing.signed_money("/total")?,
        paid: thing.money("/amount_paid")?,
        period_start,
        period_end,
        payment,
        attempts: thing.number("/attempt_count")?.and_then(|count| u32::try_from(count).ok()).unwrap_or_default(),
        next_attempt_at: thing.time("/next_payment_attempt")?,
        page: thing.text("/hosted_invoice_url").map(str::to_owned),
        created_at: thing.moment("/created")?,
    })
}

/// What an invoice pays for: the period of its last line that is a subscription's and no proration. The invoice's own period is the one before.
fn period(invoice: &Thing<'_>) -> Result<(i64, i64), Unreadable> {
    let mut found = None;
    for line in invoice.items("/lines/data") {
        let line = Thing::any(line, "invoice.lines.data");
        let of_subscription = line.get("/parent/subscription_item_details").is_some() || line.text("/type") == Some("subscription");
        let proration = line.is("/parent/subscription_item_details/proration") || line.is("/proration");
        if of_subscription && !proration {
            let period = (line.moment("/period/start")?, line.moment("/period/end")?);
            found = found.max(Some(period));
        }
    }
    match found {
        Some(period) => Ok(period),
        None => Ok((invoice.moment("/period_start")?, invoice.moment("/period_end")?)),
    }
}

pub(super) fn dispute(value: &Value) -> Result<Dispute, Unreadable> {
    let thing = Thing::new(value, "dispute")?;
    Ok(Dispute {
        id: thing.id()?,
        payment: thing.link("/payment_intent")?,
        amount: thing.money("/amount")?,
        status: match thing.word("/status")? {
            "warning_needs_response" | "warning_under_review" => DisputeState::Inquiry,
            "won" | "warning_closed" => DisputeState::Won,
            "lost" => DisputeState::Lost,
            // Settled before it became a chargeback, usually by giving the money back: what has moved says it.
            "prevented" | "charge_refunded" => {
                if thing.items("/balance_transactions").iter().filter_map(|line| line["net"].as_i64()).sum::<i64>() < 0 {
                    DisputeState::Lost
                } else {
                    DisputeState::Won
                }
            }
            _ => DisputeState::Open, // a word that is new: the money stays where it is
        },
        reason: thing.text("/reason").unwrap_or_default().chars().take(64).collect(),
        answer_by: thing.time("/evidence_details/due_by")?,
        created_at: thing.moment("/created")?,
    })
}

pub(super) fn movement(value: &Value) -> Result<Movement, Unreadable> {
    let thing = Thing::new(value, "balance_transaction")?;
    let (kind, category) = (thing.text("/type").unwrap_or_default(), thing.text("/reporting_category").unwrap_or_default());
    let kind = match if category.is_empty() { kind } else { category } {
        "charge" | "payment" => MovementKind::Payment,
        "refund" | "payment_refund" => MovementKind::Refund,
        "refund_failure" | "payment_failure_refund" => MovementKind::RefundFailed,
        "dispute" | "dispute_reversal" => MovementKind::Dispute,
        "fee" | "stripe_fee" | "network_cost" | "tax" => MovementKind::Fee,
        "payout" | "payout_reversal" => MovementKind::Payout,
        other => MovementKind::Other(other.to_owned()),
    };
    Ok(Movement {
        id: thing.id()?,
        kind,
        amount: thing.signed_money("/amount")?,
        fee: thing.signed_money("/fee")?,
        net: thing.signed_money("/net")?,
        payment: thing.link("/source/payment_intent")?,
        source: thing.link("/source")?,
        created_at: thing.moment("/created")?,
    })
}
