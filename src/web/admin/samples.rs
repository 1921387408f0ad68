//! Sample contexts for the templates of the back office.

use super::views::*;
use crate::accounts::{Role, User};
use crate::channels::health::Fault;
use crate::channels::{ChannelView, HealthView, Kind, Options, Standing, Verdict};
use crate::coupons::{CouponFields, CouponView, Draft, UseState, UseView};
use crate::gift_cards::{BatchView, CardView, Origin};
use crate::i18n::Lang;
use crate::invoices::{self, TermsDraft};
use crate::kernel::Prices;
use crate::kernel::secrets::Secret;
use crate::kernel::{Currency, Id, Money, NEVER, Price, PriceFactor, Usd};
use crate::keys::Allowance;
use crate::ledger::Balance;
use crate::ledger::store::TransferRow;
use crate::limits::Rules as Rates;
use crate::payments::provider::DisputeState;
use crate::payments::store::{DisputeRow, EventView, RefundRow};
use crate::payments::{History, State as OrderState};
use crate::plans::State;
use crate::referrals::{self, Referral, Rules};
use crate::usage::{Decision, Listed, RequestRow};
use crate::web::Form;
use crate::web::account::samples::{documents, order};
use crate::web::plans::tests::mine;
use crate::web::tests::{check_page, every_rare_price, sample_page};
use crate::web::ui::Question;
use askama::Template;
use std::num::NonZeroU64;

fn channel() -> ChannelView {
    ChannelView {
        id: Id(5),
        name: "Main <1>".into(),
        base_url: "https://shop.example/v1".into(),
        kind: Kind::OpenAi,
        key_tails: vec![Some("abcd".into())],
        broken: false,
        models: vec!["a".into()],
        priority: 0,
        weight: 1,
        enabled: true,
        options: Options::default(),
        created_at: 0,
        updated_at: 0,
    }
}

fn health() -> HealthView {
    let fault = |verdict| Fault { at: 1, verdict, model: "a<b".into(), chat: true };
    HealthView {
        standing: Standing::Open,
        open_until: Some(2),
        in_flight: 3,
        keys: vec![Standing::Healthy, Standing::HalfOpen, Standing::Open],
        models_out: vec!["b<c".into()],
        last_fault: Some(fault(Verdict::Status(503))),
    }
}

/// As the list shows them: with health in every state, switched off, broken.
fn channel_rows() -> Vec<ChannelRow> {
    let states = [Standing::Healthy, Standing::Degraded, Standing::HalfOpen, Standing::Open];
    let faults = [Verdict::Status(500), Verdict::Timeout, Verdict::Connect, Verdict::Broken];
    let mut rows: Vec<ChannelRow> = std::iter::zip(std::iter::zip(states, faults), Kind::ALL)
        .map(|((standing, verdict), kind)| {
            let last_fault = Some(Fault { at: 1, verdict, model: "m".into(), chat: true });
            ChannelRow { channel: ChannelView { kind, ..channel() }, health: Some(HealthView { standing, last_fault, ..health() }) }
        })
        .collect();
    rows.extend(
        [ChannelView { enabled: false, ..channel() }, ChannelView { broken: true, ..channel() }, channel()].map(|channel| ChannelRow { channel, health: None }),
    );
    rows
}

fn batch() -> BatchView {
    BatchView {
        id: Id(3),
        amount: Usd::dollars(10),
        plan: Some(Id(6)),
        count: 3,
        made: 3,
        stopped_at: None,
        note: "Fair & co".into(),
        prefix: "FAIR".into(),
        per_customer: Some(2),
        origin: Origin::Sold,
        expires_at: NEVER,
        created_by: Id(1),
        created_at: 0,
        shown_at: None,
        downloaded_at: None,
        sealed_until: Some(20),
        redeemed: 1,
        voided: 1,
        left: 1,
    }
}

fn cards() -> Vec<CardView> {
    let open = CardView {
        id: Id(4),
        batch: Id(3),
        origin: Origin::Given,
        amount: Usd::dollars(10),
        expires_at: NEVER,
        tail: "WXYZ".into(),
        redeemed_by: None,
        redeemed_by_email: None,
        redeemed_at: None,
        voided_at: None,
    };
    let bought = CardView { origin: Origin::Bought, ..open.clone() };
    let late = CardView { expires_at: 5, ..open.clone() };
    let redeemed = CardView { redeemed_by: Some(Id(9)), redeemed_by_email: Some("ann@example.com".into()), redeemed_at: Some(1), ..open.clone() };
    vec![redeemed.clone(), CardView { redeemed_by_email: None, ..redeemed }, CardView { voided_at: Some(1), ..open.clone() }, open, bought, late]
}

#[test]
fn channels_and_models_render_in_both_languages() {
    for lang in Lang::ALL {
        let page = |here: &str| sample_page(lang, here);
        let mut form = Form::empty(lang).fill("name", "Main").fill("enabled", "on").fill("key", "sk-upstream");
        form.refuse("name", "field.required");
        for (channels, models) in [(0, 0), (1, 1)] {
            let overview = Overview { page: page("/admin"), revenue: Usd(312_000), requests: 3, users: 2, channels, models };
            check_page(&overview.render().unwrap());
        }
        check_page(&Channels { page: page("/admin/channels"), channels: channel_rows() }.render().unwrap());
        check_page(&Channels { page: page("/admin/channels"), channels: vec![] }.render().unwrap());
        let html = Channel { page: page("/admin/channels/new"), row: None, form: form.clone() }.render().unwrap();
        check_page(&html);
        assert_eq!(html.matches("<details").count(), 5);
        assert!(!html.contains(" open>"), "what is not set is folded");
        let mut wrong = form.clone().fill("costs", "a 1 2");
        wrong.refuse("proxy_url", "channels.error.proxy_url");
        let html = Channel { page: page("/admin/channels/new"), row: None, form: wrong }.render().unwrap();
        assert_eq!(html.matches(" open>").count(), 2, "what is set or wrong is not");
        for channel in [channel(), ChannelView { key_tails: vec![None, Some("wxyz".into())], broken: true, ..channel() }] {
            let row = ChannelRow { channel, health: Some(health()) };
            let html = Channel { page: page("/admin/channels/5"), row: Some(row), form: form.clone() }.render().unwrap();
            check_page(&html);
            assert!(!html.contains("sk-upstream"), "the key is never printed back");
        }
        let prices = Prices { input: Price(150_000_000), output: Price(600_000_000), cached_input: Price(0), cache_write: Price(1), ..Prices::default() }
            .with(every_rare_price());
        let priced = ModelRow { id: Id(5), name: "gpt<5".into(), enabled: true, prices: Some(prices) };
        let models = vec![priced.clone(), ModelRow { prices: None, ..priced.clone() }, ModelRow { enabled: false, ..priced }];
        check_page(&Models { page: page("/admin/models"), models: models.clone() }.render().unwrap());
        check_page(&Models { page: page("/admin/models"), models: vec![] }.render().unwrap());
        check_page(&EditModel { page: page("/admin/models/5"), model: models.into_iter().next(), form: form.clone() }.render().unwrap());
        check_page(&EditModel { page: page("/admin/models/new"), model: None, form: form.clone() }.render().unwrap());
        check_page(&Settings { page: page("/admin/settings"), form: form.clone() }.render().unwrap());
        let question = Question { title: "T?".into(), loss: "L".into(), action: "/x".into(), yes: "Y".into(), back: "/b".into() };
        check_page(&Ask { page: page("/admin/models/1/delete"), question }.render().unwrap());
    }
}

#[test]
fn gift_cards_render_in_both_languages() {
    for lang in Lang::ALL {
        let page = || sample_page(lang, "/admin/gift-cards");
        let form = Form::empty(lang);
        let older = Some("/admin/gift-cards?before=1".to_owned());
        let filter = Form::empty(lang).fill("from", "bought");
        let plans = vec![(String::new(), "Credit".to_owned()), (Id(6).to_string(), "Gold <1>".to_owned())];
        let html =
            GiftCards { page: page(), batches: vec![batch()], older, form: form.clone(), filter: filter.clone(), plans: plans.clone() }.render().unwrap();
        check_page(&html);
        assert!(html.contains("Fair &#38; co") && html.contains("$10.00"));
        check_page(&GiftCards { page: page(), batches: vec![], older: None, form: form.clone(), filter, plans: vec![] }.render().unwrap());
        let codes = Codes { page: page(), batch: Id(3), codes: vec![Secret::new("ABCD-EFGH".into())] }.render().unwrap();
        check_page(&codes);
        assert!(codes.contains("ABCD-EFGH"));
        let whole = Batch {
            page: page(),
            batch: batch(),
            cards: cards(),
            further: Some("/admin/gift-cards/3?after=4".into()),
            form: form.clone(),
            plan: Some("Gold <1>".into()),
            now: 10,
        };
        let html = whole.render().unwrap();
        check_page(&html);
        assert!(html.contains("/codes.csv\"") && html.contains("/codes\"") && !html.contains("hx-trigger"), "{html}");
        assert_eq!(html.matches("/void\"").count(), 3, "the batch, an open card and an expired one; no redeemed, voided or bought one: {html}");
        let making = BatchView { count: 90_000, made: 45_500, sealed_until: None, ..batch() };
        let html = Batch { batch: making.clone(), cards: vec![], ..whole }.render().unwrap();
        check_page(&html);
        assert!(html.contains("45,500") && html.contains("hx-trigger") && !html.contains("/codes"), "{html}");
        let over = BatchView { expires_at: 5, left: 0, note: String::new(), stopped_at: Some(1), origin: Origin::Bought, ..making };
        let html = Batch { page: page(), batch: over, cards: cards(), further: None, form: form.clone(), plan: None, now: 10 }.render().unwrap();
        check_page(&html);
        assert!(!html.contains("hx-trigger"));
        let older = Some("/admin/gift-cards/find?q=WXYZ&before=1".to_owned());
        check_page(&FoundCards { page: page(), cards: cards(), form: form.clone(), older, now: 10 }.render().unwrap());
        let mut form = form.fill("q", "XY");
        form.refuse("q", "gift_card.find_more");
        check_page(&FoundCards { page: page(), cards: vec![], form, older: None, now: 10 }.render().unwrap());
    }
}

#[test]
fn coupons_render_in_both_languages() {
    let typed = CouponFields { code: "SPRING", note: "A <note>", kind: "percent", percent: "12.5", top_up: "on", enabled: "on", ..CouponFields::default() };
    let coupon = |typed: &CouponFields<'_>| CouponView { id: Id(7), draft: Draft::parse(typed).unwrap(), taken: 5, used: 3, created_at: 1 };
    let percent = coupon(&typed);
    let amount = coupon(&CouponFields { kind: "amount", amounts: "5 USD\n700 JPY", total_limit: "9", ends_on: "2026-01-01", ..typed });
    let bonus = coupon(&CouponFields { kind: "bonus", bonus: "2", enabled: "", ..typed });
    let used = |state, email: Option<&str>| UseView {
        order: Id(5),
        user: Id(9),
        email: email.map(str::to_owned),
        state,
        off: Money::new(125, Currency::USD),
        bonus: Usd::ZERO,
        at: 1,
    };
    for lang in Lang::ALL {
        let page = || sample_page(lang, "/admin/coupons");
        let coupons = vec![percent.clone(), amount.clone(), bonus.clone()];
        let older = Some("/admin/coupons?before=1".to_owned());
        let html = Coupons { page: page(), coupons, form: Form::empty(lang), older: older.clone(), now: i64::MAX - 1 }.render().unwrap();
        check_page(&html);
        assert!(html.contains("-12.5 %") && html.contains("-$5.00, ") || html.contains("-JPY 700, -$5.00"), "{html}");
        check_page(&Coupons { page: page(), coupons: vec![], form: Form::empty(lang), older: None, now: 0 }.render().unwrap());
        let uses = vec![used(UseState::Reserved, None), used(UseState::Used, Some("a<b@example.com")), used(UseState::Released, None)];
        let form = amount.draft.fields().into_iter().fold(Form::empty(lang), |form, (name, value)| form.fill(name, value));
        let html = Coupon { page: page(), coupon: Some(amount.clone()), uses, older, form: form.clone() }.render().unwrap();
        check_page(&html);
        assert!(html.contains("$1.25") && html.contains("a&#60;b@example.com") && html.contains("700 JPY"), "{html}");
        let mut form = form;
        form.refuse("code", "coupons.error.code_taken");
        check_page(&Coupon { page: page(), coupon: None, uses: vec![], older: None, form }.render().unwrap());
    }
}

#[test]
fn referrals_render_in_both_languages() {
    let one = Referral {
        user: Id(9),
        email: "bob<b@example.org".into(),
        referrer: Id(8),
        referrer_email: "ann@example.com".into(),
        state: referrals::State::Held,
        same_source: true,
        joined_at: 1,
        order: Some(Id(4)),
        due_at: Some(2),
        reward: Usd::dollars(5),
        welcome: Usd::dollars(3),
        rewarded: false,
    };
    let all: Vec<Referral> =
        referrals::State::ALL.into_iter().map(|state| Referral { state, rewarded: true, due_at: None, ..one.clone() }).chain([one.clone()]).collect();
    for lang in Lang::ALL {
        let page = || sample_page(lang, "/admin/referrals");
        let mut form = Rules::default().fields().into_iter().fold(Form::empty(lang), |form, (name, value)| form.fill(name, value));
        form.refuse("cap", "referral.error_cap");
        let filter = Form::empty(lang).fill("state", "held").fill("same", "on");
        let older = Some("/admin/referrals?before=1".to_owned());
        let html = Referrals { page: page(), all: all.clone(), older, form: form.clone(), filter: filter.clone(), owner: true }.render().unwrap();
        check_page(&html);
        assert!(html.contains("bob&#60;b@") && html.contains("$5.00 / $3.00"), "{html}");
        let html = Referrals { page: page(), all: vec![], older: None, form, filter, owner: false }.render().unwrap();
        check_page(&html);
        assert!(!html.contains("action=\"/admin/referrals\" class=\"stack\""), "only the owner sets what is given");
    }
}

fn user() -> User {
    User {
        id: Id(9),
        email: "ann+<b>@example.com".into(),
        role: Role::Customer,
        verified_at: Some(1),
        disabled_at: None,
        session_epoch: 0,
        locale: None,
        time_zone: None,
        created_at: 1,
        last_login_at: None,
    }
}

#[test]
fn orders_and_payments_render_in_both_languages() {
    let event = |state: &str| EventView {
        id: Id(4),
        kind: "checkout.session.completed".into(),
        state: state.into(),
        was_fetched: state == "refused",
        created_at: 1,
        received_at: 2,
        error: (state == "refused").then(|| "its amount is <b>".into()),
    };
    let refund = |state: &str| RefundRow {
        id: Id(5),
        order: Id(9 << 40),
        amount: 100,
        is_owed: true,
        state: state.into(),
        is_theirs: state == "done",
        provider_refund: None,
        reason: "Asked for <it>".into(),
        unspent: Usd(1),
        owed: Usd(2),
        lost: Usd(3),
        bonus: Usd(4),
        error: (state == "failed").then(|| "no".into()),
        created_at: 1,
        done_at: None,
    };
    let dispute = |state| DisputeRow {
        id: Id(6),
        order: Id(9 << 40),
        amount: 100,
        state,
        is_settled: false,
        reason: "fraudulent".into(),
        answer_by: Some(1),
        unspent: Usd(0),
        owed: Usd(0),
        created_at: 1,
        ended_at: None,
    };
    let history = History {
        refunds: ["taking", "sending", "done", "failed"].map(refund).into(),
        disputes: [DisputeState::Inquiry, DisputeState::Open, DisputeState::Won, DisputeState::Lost].map(dispute).into(),
        messages: ["new", "done", "ignored", "refused"].map(event).into(),
    };
    for lang in Lang::ALL {
        let page = |path| sample_page(lang, path);
        let mut form = Form::empty(lang).fill("once", "7");
        form.refuse("amount", "payback.error.too_much");
        for state in OrderState::ALL {
            let (order, email) = (order(state), "ann@example.com".to_owned());
            for history in [History::default(), history.clone()] {
                let (page, documents) = (page("/admin/orders/1"), documents());
                check_page(&AdminOrder { page, order: order.clone(), email: email.clone(), history, documents, form: form.clone() }.render().unwrap());
            }
        }
        let rows = vec![(order(OrderState::Paid), "ann@example.com".to_owned())];
        for (orders, older) in [(vec![], None), (rows, Some("/admin/orders?state=&before=1".to_owned()))] {
            check_page(&AdminOrders { page: page("/admin/orders"), orders, older, form: form.clone() }.render().unwrap());
        }
        for (takes_cards, messages, older) in [(false, vec![], None), (true, history.messages.clone(), Some(Id(1)))] {
            let hook = "https://shop.example/webhooks/stripe".to_owned();
            check_page(&Payments { page: page("/admin/payments"), form: form.clone(), takes_cards, hook, messages, older }.render().unwrap());
        }
    }
}

#[test]
fn people_render_in_both_languages() {
    let user = user();
    let kinds = [
        "grant",
        "capture",
        "absorbed",
        "correction",
        "debt",
        "expiry",
        "adjustment",
        "purchase",
        "sale",
        "recognised",
        "ended",
        "refund",
        "chargeback",
        "fee",
    ];
    let movements: Vec<TransferRow> = kinds
        .iter()
        .map(|kind| TransferRow { id: Id(1), debit: 2_000, credit: 2, amount: Usd::dollars(3), kind: (*kind).into(), reference: "A <note>".into(), at: 1 })
        .collect();
    for lang in Lang::ALL {
        let page = || sample_page(lang, "/admin/users");
        let mut form = Form::empty(lang).fill("q", "ann");
        let owner = User { role: Role::Owner, verified_at: None, ..user.clone() };
        let off = User { role: Role::Admin, disabled_at: Some(1), ..user.clone() };
        let users =
            Users { page: page(), users: vec![user.clone(), owner, off.clone()], form: form.clone(), older: Some("/admin/users?q=ann&before=1".into()) };
        check_page(&users.render().unwrap());
        check_page(&Users { page: page(), users: vec![], form: form.clone(), older: None }.render().unwrap());
        form.refuse("amount", "adjust.too_much");
        let balance = crate::web::account::samples::balance();
        let person = Person {
            page: page(),
            user: user.clone(),
            balance: balance.clone(),
            month: Usd(1),
            movements: movements.clone(),
            plans: [State::Active, State::PastDue, State::Ended].map(|state| mine(1, state, true, None)).into(),
            form,
            once: Id(5),
            may_disable: true,
            defaults: Allowance { rules: Rates { rpm: NonZeroU64::new(77), ..Rates::default() }, ..Allowance::default() },
            access_ends: NEVER,
        };
        let html = person.render().unwrap();
        check_page(&html);
        assert!(html.contains("<dd>77</dd>"));
        assert!(html.contains("-$3.00") && html.contains("A &#60;note&#62;") && html.contains("ann+&#60;b&#62;@"), "{html}");
        let none = Balance { credits: vec![], ..balance };
        let empty = Person { user: off, balance: none, movements: vec![], plans: vec![], form: Form::empty(lang), ..person };
        check_page(&empty.render().unwrap());
    }
}

#[test]
fn requests_render_in_both_languages() {
    let told =
        r#"{"n":3,"s":[[7,"open"],[8,"no such word"]],"a":[{"c":5,"k":1,"m":"up<1>","r":"timeout","t":30000},{"c":6,"r":429,"t":12},{"c":6,"r":200,"t":312}]}"#;
    let told = Decision::read(
        &told
            .replace("[7,", "[\"0000000000007\",")
            .replace("[8,", "[\"0000000000008\",")
            .replace(":5,", ":\"0000000000005\",")
            .replace(":6,", ":\"0000000000006\","),
    );
    let request = crate::web::account::samples::requests().remove(0);
    let listed = Listed { request, user: Id(9), email: Some("ann+<b>@example.com".into()), channel: Some("Main <1>".into()) };
    let full = RequestRow {
        listed: listed.clone(),
        key: Id(4),
        channel_id: Some(Id(5)),
        error: Some("first: status 500 <html>".into()),
        operation: Some("embeddings".into()),
        price: Some(Id(3)),
        upstream_cost: Some(Usd(5)),
        upstream_model: Some("up<1>".into()),
        decision: told.clone(),
        plan: Some(Id(9)),
        factor: Some(PriceFactor::from_millionths(500_000)),
    };
    let names = [(Id(5), "Main <1>".to_owned())].into();
    for lang in Lang::ALL {
        let page = || sample_page(lang, "/admin/requests");
        let mut form = Form::empty(lang).fill("outcome", "refused").fill("status", "x");
        let rows = vec![listed.clone(), Listed { email: None, channel: None, ..listed.clone() }];
        let list = Requests { page: page(), requests: rows, form: form.clone(), user: Some(user()), older: Some("/admin/requests?before=1".into()) };
        check_page(&list.render().unwrap());
        form.refuse("status", "request.bad_status");
        check_page(&Requests { page: page(), requests: vec![], form, user: None, older: None }.render().unwrap());
        let steps = super::requests::steps(&page(), told.as_ref().unwrap(), "m", &names);
        assert_eq!(steps.len(), 5);
        let html = Request { page: page(), row: full.clone(), key: Some("Laptop".into()), candidates: Some(3), steps }.render().unwrap();
        check_page(&html);
        assert!(html.contains("Main &#60;1&#62;") && html.contains("<code>up&#60;1&#62;</code>") && html.contains("30.00 s") && html.contains("429"), "{html}");
        let none = RequestRow {
            channel_id: None,
            error: None,
            operation: None,
            price: None,
            upstream_cost: None,
            upstream_model: None,
            decision: None,
            plan: None,
            factor: None,
            ..full.clone()
        };
        check_page(&Request { page: page(), row: none, key: None, candidates: None, steps: vec![] }.render().unwrap());
    }
}

#[test]
fn documents_render_in_both_languages() {
    for lang in Lang::ALL {
        let page = |path| sample_page(lang, path);
        let form = Form::empty(lang).fill("q", "INV<").fill("from", "2026-03-01");
        let list = |documents, older, may_set, form| AdminInvoices {
            page: page("/admin/invoices"),
            documents,
            form,
            older,
            file: "/admin/invoices.csv?q=a".into(),
            may_set,
        };
        check_page(&list(vec![], None, false, form.clone()).render().unwrap());
        let html = list(documents(), Some("/admin/invoices?before=1".into()), true, form).render().unwrap();
        check_page(&html);
        assert!(html.contains("CNY -324.00") && html.contains("CNY 272.27"), "{html}");
        let sheet = invoices::sample(invoices::Kind::Credit, lang).sheet();
        check_page(&AdminInvoice { page: page("/admin/invoices/1"), id: Id(1), customer: Id(2), order: Id(3), sheet }.render().unwrap());
        let one = invoices::First { number: 17, digits: 6 };
        let draft = TermsDraft { terms: invoices::Terms::default(), first: one, credit_first: one };
        let mut form = draft.fields().into_iter().fold(Form::empty(lang), |form, (name, value)| form.fill(name, value));
        let html = InvoiceTerms { page: page("/admin/invoices/terms"), form: form.clone() }.render().unwrap();
        check_page(&html);
        assert!(html.contains("value=\"000017\"") && html.contains("value=\"R-\""), "{html}");
        form.refuse("prefix", "bill.error.prefix");
        check_page(&InvoiceTerms { page: page("/admin/invoices/terms"), form }.render().unwrap());
    }
}
