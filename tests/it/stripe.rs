//! The adapter against the simulated Stripe, over HTTP.

use axum::http::HeaderMap;
use farebox::config::StripeConfig;
use farebox::demo::stripe::{Card, Fault, Options, Post, Stripe as Fake, signature};
use farebox::kernel::secrets::Secret;
use farebox::kernel::{Clock, Currency, Id, IdGen, Kit, Money, Random};
use farebox::payments::provider::{
    Advice, Change, Charged, Checkout, CheckoutStatus, Confirmation, DeclineReason, DisputeState, Event, Every, InvoiceReason, List, Mismatch, Mode,
    MovementKind, NewCheckout, NewCustomer, NewRefund, PaymentState, PaymentStatus, Provider, ProviderError, RefundState, Rejected, RenewingPlan, Sale,
    SavedCharge, SubscriptionState, Unit, When,
};
use farebox::payments::stripe::Stripe;

const KEY: &str = "sk_test_simulated";
const SECRET: &str = "whsec_simulated";
const START: i64 = 1_832_932_800_000;
const DAY: i64 = 86_400_000;
const PRICE: Money = Money::new(5000, Currency::USD);
const USER: Id = Id(77);
const PLAN: Id = Id(88);
const VERSION: Id = Id(89);

struct Bench {
    fake: Fake,
    clock: Clock,
    stripe: Stripe,
    customer: String,
}

impl Bench {
    async fn open() -> Self {
        let clock = Clock::manual(START);
        let kit = Kit { clock: clock.clone(), ids: IdGen::new(clock.clone(), 0, 0), random: Random::seeded(3) };
        let fake = Fake::start(Options::new(&kit, KEY)).await.unwrap();
        fake.send_to("http://127.0.0.1:9/", SECRET); // nobody is there: the tests carry the messages
        fake.post(Post { held: true, ..Default::default() });
        let stripe = account(&fake, KEY, Some(SECRET));
        let customer = stripe.customer(&NewCustomer { user: USER, email: "a@example.com".to_owned() }).await.unwrap();
        Self { fake, clock, stripe, customer }
    }

    fn new_checkout(&self, order: Id, sale: Sale) -> NewCheckout {
        NewCheckout {
            order,
            user: USER,
            customer: self.customer.clone(),
            title: "Credit & more".to_owned(),
            price: PRICE,
            sale,
            success_url: "https://shop.example/done?order=1&session={CHECKOUT_SESSION_ID}".to_owned(),
            cancel_url: "https://shop.example/no".to_owned(),
            expires_at: self.clock.now_ms() + 3_600_000,
            language: "zh".to_owned(),
        }
    }

    async fn once(&self, order: Id) -> Checkout {
        self.stripe.checkout(&self.new_checkout(order, Sale::Once { save_card: true })).await.unwrap()
    }

    /// A running subscription.
    async fn subscribe(&self) -> String {
        let made = self.stripe.checkout(&self.new_checkout(Id(5), Sale::Renewing(monthly(PLAN)))).await.unwrap();
        self.fake.pay(&made.id, Card::Good).unwrap();
        self.stripe.look_at_checkout(&made.id).await.unwrap().subscription.unwrap()
    }

    async fn charge(&self, order: Id) -> Charged {
        let card = self.stripe.saved_card(&self.customer).await.unwrap().unwrap();
        let charge = SavedCharge { order, user: USER, customer: self.customer.clone(), card: card.id, amount: PRICE, title: "Credit".to_owned() };
        self.stripe.charge_saved(&charge).await.unwrap()
    }

    /// What the newest message of a kind tells, after its signature was checked.
    fn told(&self, kind: &str) -> Event {
        let message = self.fake.messages().into_iter().rev().find(|message| message.kind == kind).unwrap_or_else(|| panic!("no {kind}"));
        let mut headers = HeaderMap::new();
        headers.insert("stripe-signature", self.fake.sign(&message.body).parse().unwrap());
        let incoming = self.stripe.verify(&headers, message.body.as_bytes(), self.clock.now_ms()).unwrap();
        assert_eq!((&incoming.id, &incoming.kind, incoming.created_at), (&message.id, &message.kind, message.created * 1000));
        self.stripe.read(&incoming.raw).unwrap()
    }
}

fn account(fake: &Fake, key: &str, webhook_secret: Option<&str>) -> Stripe {
    let secret = |text: &str| Secret::new(text.to_owned());
    Stripe::new(&StripeConfig { secret_key: secret(key), webhook_secret: webhook_secret.map(secret), api_base: Some(fake.base_url()) }).unwrap()
}

fn monthly(plan: Id) -> RenewingPlan {
    RenewingPlan { plan, version: VERSION, every: Every { count: 1, unit: Unit::Month }, trial_days: 0 }
}

#[tokio::test]
async fn a_customer_is_found_again_and_never_made_twice() {
    let bench = Bench::open().await;
    let again = bench.stripe.customer(&NewCustomer { user: USER, email: "a@example.com".to_owned() }).await.unwrap();
    let other = bench.stripe.customer(&NewCustomer { user: Id(78), email: "a@example.com".to_owned() }).await.unwrap();
    assert!(again == bench.customer && other != bench.customer);
    bench.fake.fail_next(&[Fault::Status(500)]);
    let lost = NewCustomer { user: Id(79), email: "b@example.com".to_owned() };
    assert!(bench.stripe.customer(&lost).await.unwrap_err().is_retryable());
}

#[tokio::test]
async fn an_order_is_paid_by_one_checkout_however_often_it_is_asked_for() {
    let bench = Bench::open().await;
    let made = bench.once(Id(1)).await;
    assert_eq!(made, bench.once(Id(1)).await);
    assert_eq!(
        (made.order, made.total, made.mode, made.status, made.payment_status),
        (Some(Id(1)), PRICE, Mode::Payment, CheckoutStatus::Open, PaymentStatus::Unpaid)
    );
    assert_eq!(made.pays(Id(1), PRICE, Some(&bench.customer), Mode::Payment), Err(Mismatch::Unpaid));
    bench.fake.pay(&made.id, Card::Good).unwrap();
    let Event::CheckoutCompleted(told) = bench.told("checkout.session.completed") else { panic!() };
    assert_eq!(told, bench.stripe.look_at_checkout(&made.id).await.unwrap());
    assert_eq!(told.pays(Id(1), PRICE, Some(&bench.customer), Mode::Payment), Ok(()));
    let Event::PaymentPaid(payment) = bench.told("payment_intent.succeeded") else { panic!() };
    assert_eq!((payment.order, payment.received, Some(&payment.id), payment.status), (Some(Id(1)), PRICE, told.payment.as_ref(), PaymentState::Paid));
    assert_eq!(bench.stripe.expire_checkout(&made.id).await.unwrap().status, CheckoutStatus::Complete, "a paid one stays paid");
    let open = bench.once(Id(2)).await;
    assert_eq!(bench.stripe.expire_checkout(&open.id).await.unwrap().status, CheckoutStatus::Expired);
    assert!(matches!(bench.told("checkout.session.expired"), Event::CheckoutExpired(expired) if expired.id == open.id));
    let all = bench.stripe.checkouts(&List { from: Some(START), ..List::default() }).await.unwrap();
    assert_eq!(all.items.iter().map(|checkout| checkout.order).collect::<Vec<_>>(), [Some(Id(2)), Some(Id(1))]);
}

#[tokio::test]
async fn a_saved_card_is_charged_once_even_when_the_answer_is_lost() {
    let bench = Bench::open().await;
    assert_eq!(bench.stripe.saved_card(&bench.customer).await.unwrap(), None);
    bench.fake.pay(&bench.once(Id(1)).await.id, Card::Good).unwrap();
    let card = bench.stripe.saved_card(&bench.customer).await.unwrap().unwrap();
    assert_eq!((card.brand.as_str(), card.last4.as_str()), ("visa", "4242"));
    let charge = SavedCharge { order: Id(9), user: USER, customer: bench.customer.clone(), card: card.id.clone(), amount: PRICE, title: "Credit".to_owned() };
    for faults in [&[Fault::LoseAnswer][..], &[], &[]] {
        bench.fake.fail_next(faults);
        match bench.stripe.charge_saved(&charge).await {
            Ok(Charged::Paid(payment)) => assert_eq!((payment.order, payment.received), (Some(Id(9)), PRICE)),
            Err(ProviderError::Unreachable(_)) if !faults.is_empty() => {}
            other => panic!("{other:?}"),
        }
    }
    let payments = bench.stripe.payments(&List::default()).await.unwrap().items;
    assert_eq!(payments.iter().filter(|payment| payment.order == Some(Id(9))).count(), 1);
    bench.stripe.forget_card(&card.id).await.unwrap();
    bench.stripe.forget_card(&card.id).await.unwrap();
    assert_eq!(bench.stripe.saved_card(&bench.customer).await.unwrap(), None);
}

#[tokio::test]
async fn a_charge_that_is_declined_or_wants_a_confirmation_is_an_answer() {
    let bench = Bench::open().await;
    bench.fake.pay(&bench.once(Id(1)).await.id, Card::Good).unwrap();
    bench.fake.card_becomes(&bench.customer, Card::Poor);
    let Charged::Declined(payment, decline) = bench.charge(Id(2)).await else { panic!() };
    assert_eq!((payment.order, decline.code.as_str(), decline.reason), (Some(Id(2)), "insufficient_funds", DeclineReason::Funds));
    bench.fake.card_becomes(&bench.customer, Card::ConfirmsAlways);
    let Charged::NeedsAction(payment) = bench.charge(Id(3)).await else { panic!() };
    let Event::PaymentFailed(told) = bench.told("payment_intent.payment_failed") else { panic!() };
    assert_eq!((&told.id, told.decline.unwrap().reason), (&payment.id, DeclineReason::Confirmation));
    let Confirmation::Go(url) = bench.stripe.confirm(&payment.id, "https://shop.example/back").await.unwrap() else { panic!() };
    assert!(url.starts_with(&bench.fake.base_url()));
    assert!(matches!(bench.stripe.confirm(&payment.id, "https://shop.example/back").await.unwrap(), Confirmation::Go(_)), "the link is opened twice");
    bench.fake.confirm(&payment.id, true).unwrap();
    let Confirmation::Paid(paid) = bench.stripe.confirm(&payment.id, "https://shop.example/back").await.unwrap() else { panic!() };
    assert_eq!(bench.stripe.cancel_payment(&paid.id).await.unwrap().status, PaymentState::Paid, "what is paid is not given up");
    let Charged::NeedsAction(payment) = bench.charge(Id(4)).await else { panic!() };
    assert_eq!(bench.stripe.cancel_payment(&payment.id).await.unwrap().status, PaymentState::Canceled);
    assert!(matches!(bench.stripe.confirm(&payment.id, "https://shop.example/back").await.unwrap(), Confirmation::Closed(..)));
}

#[tokio::test]
async fn refunds_disputes_and_fees_are_told_and_listed() {
    let bench = Bench::open().await;
    let made = bench.once(Id(1)).await;
    bench.fake.pay(&made.id, Card::Good).unwrap();
    let payment = bench.stripe.look_at_checkout(&made.id).await.unwrap().payment.unwrap();
    let new = NewRefund { payment: payment.clone(), amount: Money::new(2000, Currency::USD), key: "r1".to_owned(), order: Id(1) };
    let refund = bench.stripe.refund(&new).await.unwrap();
    assert_eq!(refund, bench.stripe.refund(&new).await.unwrap());
    assert_eq!((refund.order, refund.status, refund.payment.as_ref()), (Some(Id(1)), RefundState::Done, Some(&payment)));
    let Event::Refunded(told) = bench.told("charge.refunded") else { panic!() };
    assert_eq!((told.order, told.amount, told.refunded), (Some(Id(1)), PRICE, new.amount));
    let too_much = NewRefund { amount: PRICE, key: "r2".to_owned(), ..new };
    assert!(matches!(bench.stripe.refund(&too_much).await.unwrap_err(), ProviderError::Refused(_)));
    let dispute = bench.fake.dispute(&payment).unwrap();
    let Event::Dispute(told) = bench.told("charge.dispute.created") else { panic!() };
    assert_eq!((told.status, told.amount.minor, told.payment.as_ref()), (DisputeState::Open, 3000, Some(&payment)));
    bench.fake.close_dispute(&dispute, false).unwrap();
    assert!(matches!(bench.told("charge.dispute.closed"), Event::Dispute(told) if told.status == DisputeState::Lost));
    assert_eq!(bench.stripe.disputes(&List::default()).await.unwrap().items.len(), 1);
    assert_eq!(bench.stripe.refunds(&List::default()).await.unwrap().items, [refund]);
    let movements = bench.stripe.movements(&List::default()).await.unwrap().items;
    let kinds: Vec<_> = movements.iter().map(|one| (one.kind.clone(), one.amount.minor, one.fee.minor)).collect();
    assert_eq!(kinds, [(MovementKind::Dispute, -3000, 1500), (MovementKind::Refund, -2000, 0), (MovementKind::Payment, 5000, 175)]);
    assert!(movements.iter().all(|one| one.payment.as_ref() == Some(&payment)));
}

#[tokio::test]
async fn a_subscription_begins_renews_fails_and_is_paid_again() {
    let bench = Bench::open().await;
    let id = bench.subscribe().await;
    let Event::InvoicePaid(first) = bench.told("invoice.paid") else { panic!() };
    assert_eq!((first.order, first.reason, first.paid, first.period_start), (Some(Id(5)), InvoiceReason::First, PRICE, START));
    let subscription = bench.stripe.subscription(&id).await.unwrap();
    assert_eq!((subscription.order, subscription.plan, subscription.status, subscription.price), (Some(Id(5)), Some(PLAN), SubscriptionState::Active, PRICE));
    bench.clock.advance(30 * DAY);
    bench.fake.pass_time();
    let Event::InvoicePaid(renewal) = bench.told("invoice.paid") else { panic!() };
    assert_eq!((renewal.reason, renewal.period_start, renewal.subscription.as_ref()), (InvoiceReason::Renewal, first.period_end, Some(&id)));
    let payment = bench.stripe.look_at_invoice(&renewal.id).await.unwrap().payment.unwrap();
    assert_eq!(bench.stripe.look_at_payment(&payment).await.unwrap().received, PRICE);
    bench.fake.card_becomes(&bench.customer, Card::Declined);
    bench.clock.advance(31 * DAY);
    bench.fake.pass_time();
    let Event::InvoiceFailed(failed) = bench.told("invoice.payment_failed") else { panic!() };
    assert!(failed.attempts == 1 && failed.next_attempt_at.is_some() && failed.paid.minor == 0 && failed.page.is_some());
    assert!(matches!(bench.told("customer.subscription.updated"), Event::Subscription(told) if told.status == SubscriptionState::PastDue));
    assert!(matches!(bench.stripe.pay_invoice(&failed.id, "1").await.unwrap(), Charged::Declined(..)));
    bench.fake.card_becomes(&bench.customer, Card::Good);
    assert!(matches!(bench.stripe.pay_invoice(&failed.id, "2").await.unwrap(), Charged::Paid(_)));
    assert!(matches!(bench.stripe.pay_invoice(&failed.id, "3").await.unwrap(), Charged::Paid(_)), "paid before");
    assert_eq!(bench.stripe.invoices(&id, &List::default()).await.unwrap().items.len(), 3);
}

#[tokio::test]
async fn a_subscription_is_changed_cancelled_and_resumed() {
    let bench = Bench::open().await;
    let id = bench.subscribe().await;
    let change = |minor: i64, when: When, key: &str| Change {
        subscription: id.clone(),
        title: "Bigger".to_owned(),
        price: Money::new(minor, Currency::USD),
        plan: monthly(Id(89)),
        when,
        credit_unused: false,
        key: key.to_owned(),
    };
    let before = bench.stripe.subscription(&id).await.unwrap();
    bench.fake.card_becomes(&bench.customer, Card::Declined);
    let refused = bench.stripe.change_subscription(&change(9000, When::Now, "1")).await.unwrap_err();
    assert!(matches!(&refused, ProviderError::Declined(decline) if decline.reason == DeclineReason::Bank), "{refused:?}");
    assert_eq!(bench.stripe.subscription(&id).await.unwrap().price, before.price);
    bench.fake.card_becomes(&bench.customer, Card::Good);
    bench.clock.advance(DAY);
    let now = bench.stripe.change_subscription(&change(9000, When::Now, "2")).await.unwrap();
    assert_eq!((now.plan, now.price.minor, now.period_start), (Some(Id(89)), 9000, START + DAY));
    assert!(matches!(bench.told("invoice.paid"), Event::InvoicePaid(bill) if bill.reason == InvoiceReason::Change && bill.paid.minor == 9000));
    let later = bench.stripe.change_subscription(&change(1000, When::PeriodEnd, "3")).await.unwrap();
    assert_eq!((later.period_start, later.period_end, later.price.minor), (now.period_start, now.period_end, 1000));
    assert!(bench.stripe.cancel_subscription(&id, When::PeriodEnd).await.unwrap().ends_with_period);
    assert!(!bench.stripe.resume_subscription(&id).await.unwrap().ends_with_period);
    for _ in 0..2 {
        assert_eq!(bench.stripe.cancel_subscription(&id, When::Now).await.unwrap().status, SubscriptionState::Ended);
    }
    assert!(
        matches!(bench.told("customer.subscription.deleted"), Event::Subscription(told) if told.status == SubscriptionState::Ended && told.ended_at.is_some())
    );
    assert!(bench.stripe.portal(&bench.customer, "https://shop.example/").await.unwrap().starts_with(&bench.fake.base_url()));
}

#[tokio::test]
async fn a_trial_costs_nothing_and_is_charged_when_it_ends() {
    let bench = Bench::open().await;
    let plan = RenewingPlan { trial_days: 7, ..monthly(PLAN) };
    let made = bench.stripe.checkout(&bench.new_checkout(Id(6), Sale::Renewing(plan))).await.unwrap();
    bench.fake.pay(&made.id, Card::Good).unwrap();
    let Event::CheckoutCompleted(told) = bench.told("checkout.session.completed") else { panic!() };
    assert_eq!((told.payment_status, told.total.minor), (PaymentStatus::NothingDue, 0));
    let id = told.subscription.unwrap();
    assert_eq!(bench.stripe.subscription(&id).await.unwrap().status, SubscriptionState::Trial);
    bench.clock.advance(7 * DAY);
    let after = bench.stripe.subscription(&id).await.unwrap();
    assert_eq!((after.status, after.period_start), (SubscriptionState::Active, START + 7 * DAY));
    assert!(matches!(bench.told("invoice.paid"), Event::InvoicePaid(bill) if bill.paid == PRICE));
}

#[tokio::test]
async fn lost_messages_are_found_in_the_list_page_by_page() {
    let bench = Bench::open().await;
    for order in 1..=40 {
        bench.fake.pay(&bench.once(Id(order)).await.id, Card::Good).unwrap();
    }
    let (mut found, mut list) = (Vec::new(), List { from: Some(START), until: Some(START + 1000), after: None });
    loop {
        let page = bench.stripe.events(&list).await.unwrap();
        found.extend(page.items);
        let Some(next) = page.next else { break };
        list.after = Some(next);
    }
    let sent = bench.fake.messages();
    assert!(sent.len() > 100 && found.iter().rev().map(|one| &one.id).eq(sent.iter().map(|one| &one.id)), "{} of {}", found.len(), sent.len());
    let by_post = sent.iter().map(|message| bench.stripe.read(message.body.as_bytes()).unwrap());
    assert!(found.iter().rev().map(|one| bench.stripe.read(&one.raw).unwrap()).eq(by_post), "fetched and delivered tell the same");
    assert!(bench.stripe.events(&List { from: Some(START + 1), ..List::default() }).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn errors_say_whether_to_try_again_and_what_to_do() {
    let bench = Bench::open().await;
    let stranger = account(&bench.fake, "sk_test_other", None);
    let error = stranger.look_at_checkout("cs_test_1").await.unwrap_err();
    assert_eq!((error.advice(), error.is_retryable()), (Advice::CheckKey, false));
    assert!(!error.to_string().contains("sk_test") && !format!("{stranger:?}").contains("sk_test_other"));
    assert_eq!(bench.stripe.look_at_checkout("cs_test_1").await.unwrap_err().advice(), Advice::CheckAccount);
    for hostile in ["", "../customers", "cs_1?x=1", "cs/1", "é"] {
        let asked = bench.fake.asked().len();
        assert!(matches!(bench.stripe.look_at_checkout(hostile).await.unwrap_err(), ProviderError::Unknown(_)), "{hostile}");
        assert!(matches!(bench.stripe.cancel_subscription(hostile, When::Now).await.unwrap_err(), ProviderError::Unknown(_)), "{hostile}");
        assert_eq!(bench.fake.asked().len(), asked, "{hostile} was sent");
    }
    for fault in [Fault::Status(429), Fault::Status(500), Fault::Status(409), Fault::HangUp] {
        bench.fake.fail_next(&[fault]);
        assert_eq!(bench.stripe.subscription("sub_1").await.unwrap_err().advice(), Advice::Wait, "{fault:?}");
    }
    let mut wrong = bench.new_checkout(Id(1), Sale::Once { save_card: false });
    wrong.expires_at = START;
    let error = bench.stripe.checkout(&wrong).await.unwrap_err();
    assert!(error.advice() == Advice::LookThere && error.to_string().contains("expires_at"), "{error}");
}

#[tokio::test]
async fn without_a_secret_every_message_is_refused() {
    let bench = Bench::open().await;
    bench.fake.pay(&bench.once(Id(1)).await.id, Card::Good).unwrap();
    let message = bench.fake.messages().pop().unwrap();
    let mut headers = HeaderMap::new();
    assert_eq!(bench.stripe.verify(&headers, message.body.as_bytes(), START), Err(Rejected::Unsigned));
    headers.insert("stripe-signature", signature("", START / 1000, &message.body).parse().unwrap());
    for secret in [None, Some(""), Some("  ")] {
        assert_eq!(account(&bench.fake, KEY, secret).verify(&headers, message.body.as_bytes(), START), Err(Rejected::NoSecret));
    }
    assert_eq!(bench.stripe.verify(&headers, message.body.as_bytes(), START), Err(Rejected::WrongSignature));
    headers.insert("stripe-signature", signature(SECRET, START / 1000, "{}").parse().unwrap());
    assert_eq!(bench.stripe.verify(&headers, b"{}", START), Err(Rejected::NoEvent));
}
