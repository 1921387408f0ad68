//! Sample contexts for the customer's templates.

use super::views::*;
use crate::gift_cards::RedeemedCard;
use crate::gift_cards::sale::{SaleState, SaleView};
use crate::i18n::Lang;
use crate::invoices::{Kind, Listed, sample};
use crate::kernel::secrets::Secret;
use crate::kernel::{Id, Money, NEVER, Usd};
use crate::keys::{KeyFields, KeyOptions, KeyView};
use crate::ledger::statement::{DayLine, DaySum, Line};
use crate::ledger::store::{CreditRow, Frozen, TransferRow};
use crate::ledger::{Balance, Bucket, CreditKind, EVERYTHING};
use crate::payments::automatic::{Automatic, Reason, Terms};
use crate::payments::provider::SavedCard;
use crate::payments::{Method, Order, State as OrderState, What};
use crate::referrals::{Link, Referral, Rules, State};
use crate::settings::{Tier, TopUpTerms};
use crate::usage::{Parts, RequestView};
use crate::web::snippets::quick_start;
use crate::web::tests::{check_page, sample_page};
use crate::web::ui::Question;
use crate::web::{Form, Page};
use askama::Template;

pub fn balance() -> Balance {
    let bucket = Bucket {
        id: Id(1),
        kind: CreditKind::Gift,
        posted: Usd(5_000),
        held: Usd(2_000),
        priority: 100,
        effective_at: 0,
        expires_at: NEVER,
        scope: EVERYTHING,
    };
    let plan = Bucket { kind: CreditKind::Plan, expires_at: 1_767_225_600_000, ..bucket };
    let paid = Bucket { kind: CreditKind::Paid, ..bucket };
    let credit = |bucket| CreditRow { bucket, granted: Usd::dollars(5), reference: "gift_card:ABCD".into(), created_at: 0, frozen: None };
    Balance { available: Usd(3_000), in_plans: Usd::ZERO, held: Usd(2_000), owed: Usd(1), credits: vec![credit(bucket), credit(plan), credit(paid)] }
}

#[test]
fn the_wallet_renders_in_both_languages() {
    let row = |kind: &str, debit, credit, reference: &str| TransferRow {
        id: Id(1 << 40),
        debit,
        credit,
        amount: Usd::dollars(3),
        kind: kind.into(),
        reference: reference.into(),
        at: 1,
    };
    let rows = [row("grant", 1, 2_000, "order:000000000000A"), row("capture", 2_000, 2, "0000000000001"), row("debt", 2_000, 3_000, "a <note>")];
    let lines: Vec<Line> = rows.into_iter().map(|row| Line { effect: row.effect(), balance: Usd::dollars(-2), row }).collect();
    let credits = balance().credits;
    let frozen = CreditRow { frozen: Some(Frozen { from: 0, at: 1 }), ..credits[0].clone() };
    let later = CreditRow { bucket: Bucket { effective_at: 9, ..credits[0].bucket.clone() }, ..credits[0].clone() };
    let wallet: Vec<WalletCredit> = credits.into_iter().chain([frozen, later]).map(|row| WalletCredit::of(row, 5)).collect();
    let sum = DaySum { change: Usd(-7), charged: Usd(-9), added: Usd(5), charges: 2_000, movements: 2_003 };
    let days = vec![
        DayLine { day: "2026-03-01".parse().unwrap(), sum, balance: Usd(3) },
        DayLine { day: "2026-02-28".parse().unwrap(), sum: DaySum::default(), balance: Usd(10) },
    ];
    for lang in Lang::ALL {
        let mut form = Form::empty(lang).fill("from", "<x>");
        form.refuse("from", "statement.error.day");
        let full = Wallet {
            page: sample_page(lang, "/account/wallet"),
            balance: balance(),
            total: Usd(4_999),
            plans: wallet[1..2].to_vec(),
            wallet: wallet.clone(),
            holds: vec![(Id(5 << 40), Usd(7))],
            more_holds: true,
            days: vec![],
            lines: lines.clone(),
            older: Some("/account/wallet?before=1".into()),
            file: "/account/wallet/statement.csv?from=x".into(),
            form,
            zone: "Europe/Berlin".into(),
        };
        let html = full.render().unwrap();
        check_page(&html);
        for text in ["/account/orders/000000000000A", "?only=0000000000001", "a &#60;note&#62;", "-$3.00", "+$3.00", "-$2.00", "&#60;x&#62;", "Europe/Berlin"] {
            assert!(html.contains(text), "{text} in {html}");
        }
        let daily = Wallet { lines: vec![], days: days.clone(), form: Form::empty(lang), ..full };
        let html = daily.render().unwrap();
        check_page(&html);
        assert!(html.contains("2,000") && html.contains("from=2026-03-01") && html.contains("-$0.000000003") && html.contains(" download"), "{html}");
        let empty = Wallet { days: vec![], wallet: vec![], plans: vec![], holds: vec![], more_holds: false, older: None, ..daily };
        check_page(&empty.render().unwrap());
    }
}

pub fn requests() -> Vec<RequestView> {
    let base = RequestView {
        id: Id(1 << 40),
        model: "small<".into(),
        streamed: true,
        status: 200,
        outcome: "complete".into(),
        input_tokens: 1_234,
        cached_tokens: 5,
        cache_write_tokens: 6,
        output_tokens: 7,
        counted: true,
        cost: Usd(312_000),
        ttft_ms: Some(312),
        duration_ms: 1_240,
        parts: Parts { cache_write_1h: 1, reasoning: 2, images: 3, audio_ms: 9_026, searches: 4, ..Parts::default() },
    };
    let words = ["complete", "cached", "client_gone", "refused", "recovered", "upstream_error"];
    words.iter().map(|word| RequestView { outcome: (*word).into(), ttft_ms: None, ..base.clone() }).chain([base.clone()]).collect()
}

pub fn order(state: OrderState) -> Order {
    let price = Money::new(36_000, "CNY".parse().unwrap());
    Order {
        id: Id(9 << 40),
        user: Id(2),
        what: What::TopUp,
        details: String::new(),
        title: "$50.00 of credit at Tokens & Co".into(),
        language: "en".into(),
        method: Method::Provider("stripe".into()),
        list_price: price,
        price,
        rate: "7.2".parse().unwrap(),
        worth: Usd::dollars(50),
        credit: Usd::dollars(50),
        bonus: Usd::dollars(5),
        state,
        checkout: Some("cs_1".into()),
        checkout_url: Some("https://pay.example".into()),
        payment: Some("pi_1".into()),
        subscription: None,
        credit_id: Some(Id(1)),
        bonus_id: None,
        refunded: Money::new(100, price.currency),
        note: Some("its amount is <b>".into()),
        created_at: 1,
        expires_at: NEVER,
        paid_at: Some(2),
        ended_at: Some(3),
    }
}

/// A document of each kind.
pub fn documents() -> Vec<Listed> {
    let listed = |kind| {
        let document = sample(kind, Lang::En);
        Listed {
            id: Id(3 << 40),
            kind,
            number: document.number.clone(),
            user: Id(2),
            email: "ann@example.com".into(),
            order: document.order,
            gross: Money::new(document.gross, document.currency),
            tax: Money::new(document.tax, document.currency),
            document,
            issued_at: 1,
        }
    };
    Kind::ALL.map(listed).into()
}

#[test]
fn documents_render_in_both_languages() {
    for lang in Lang::ALL {
        let page = |here: &str| sample_page(lang, here);
        check_page(&Invoices { page: page("/account/invoices"), documents: vec![], older: None }.render().unwrap());
        check_page(&Invoices { page: page("/account/invoices"), documents: documents(), older: Some(Id(1)) }.render().unwrap());
        for kind in Kind::ALL {
            let html = Invoice { page: page("/account/invoices/1"), id: Id(1), sheet: sample(kind, lang).sheet() }.render().unwrap();
            check_page(&html);
            assert!(html.contains("INV-0017") && html.contains("北京示例科技有限公司") && html.contains("&#60;credit&#62;"), "{html}");
        }
        let mut form = Form::empty(lang).fill("name", "Ann \"<");
        check_page(&BillingDetails { page: page("/account/billing"), form: form.clone() }.render().unwrap());
        form.refuse("address", "bill.error.too_many_lines");
        check_page(&BillingDetails { page: page("/account/billing"), form }.render().unwrap());
    }
}

#[test]
fn buying_renders_in_both_languages() {
    let terms = TopUpTerms { currency: "CNY".parse().unwrap(), rate: "7.2".parse().unwrap(), ..TopUpTerms::default() };
    let terms = TopUpTerms { tiers: vec![Tier { from: Usd::dollars(50), bonus: Usd::dollars(5) }], ..terms };
    let orders: Vec<Order> = OrderState::ALL.into_iter().map(order).collect();
    for lang in Lang::ALL {
        let page = |path| sample_page(lang, path);
        let mut form = Form::empty(lang);
        check_page(&TopUp { page: page("/account/top-up"), form: form.clone(), terms: terms.clone(), takes_cards: true }.render().unwrap());
        form.refuse("amount", "top_up.error.cents");
        for (terms, takes_cards) in [(TopUpTerms::default(), true), (terms.clone(), false)] {
            check_page(&TopUp { page: page("/account/top-up"), form: form.clone(), terms, takes_cards }.render().unwrap());
        }
        check_page(&Orders { page: page("/account/orders"), orders: vec![], older: None }.render().unwrap());
        check_page(&Orders { page: page("/account/orders"), orders: orders.clone(), older: Some(Id(1)) }.render().unwrap());
        for (order, (can_pay, leads_on, waits)) in
            orders.iter().zip([(true, false, false), (true, true, false), (true, false, true), (false, false, false)].into_iter().cycle())
        {
            let (confirm, documents) = (!can_pay, documents());
            check_page(&OrderPage { page: page("/account/orders/1"), order: order.clone(), documents, can_pay, leads_on, waits, confirm }.render().unwrap());
        }
    }
}

#[test]
fn a_saved_card_and_what_it_is_charged_for_render_in_both_languages() {
    let card = SavedCard { id: "pm_1".into(), brand: "visa".into(), last4: "4242".into(), expires: Some((3, 2030)) };
    let terms = Terms { below: Usd::dollars(5), amount: Usd::dollars(20), monthly: Usd::dollars(100) };
    let price = Money::new(14_400, "CNY".parse().unwrap());
    let known = Automatic { user: Id(2), is_on: true, terms, price, agreed_at: 1, failures: 0, reason: None, paused_until: 0 };
    let foreign = TopUpTerms { currency: "CNY".parse().unwrap(), rate: "7.2".parse().unwrap(), ..TopUpTerms::default() };
    for lang in Lang::ALL {
        let page = |path| sample_page(lang, path);
        let form = Form::empty(lang).fill("below", "5").fill("amount", "20");
        let show = |card: SavedWith, automatic: Option<Automatic>, form: Form| {
            let (page, terms, under_way) = (page("/account/payment"), foreign.clone(), automatic.as_ref().map(|_| Id(7)));
            let html = Payment { page, card, automatic, bought: Usd::dollars(40), under_way, terms, form, now: 10 }.render().unwrap();
            check_page(&html);
            html
        };
        let html = show(SavedWith::Card(card.clone()), Some(known.clone()), form.clone());
        assert!(
            html.contains("4242") && html.contains("03/2030") && html.contains("CNY 144.00") && html.contains("action=\"/account/payment/automatic/off\""),
            "{html}"
        );
        for reason in Reason::ALL {
            let off = Automatic { is_on: false, reason: Some(reason), ..known.clone() };
            let paused = Automatic { reason: Some(reason), paused_until: 11, ..known.clone() };
            assert!(!show(SavedWith::Card(card.clone()), Some(off), form.clone()).contains("automatic/off"));
            show(SavedWith::Unknown, Some(paused), form.clone());
        }
        let mut bad = form.clone();
        bad.refuse("agree", "autopay.error.agree");
        bad.refuse("amount", "autopay.error.amount_under_below");
        show(SavedWith::Card(SavedCard { brand: "link<".into(), last4: String::new(), expires: None, ..card.clone() }), None, bad);
        let limited = Automatic { paused_until: 11, ..known.clone() };
        assert!(!show(SavedWith::Nothing, Some(limited), form.clone()).contains("name=\"agree\""), "nothing can be agreed to without a card");
        show(SavedWith::NoProvider, None, form);
        let mut form = Form::empty(lang).fill("expiry_days", 7);
        check_page(&Notices { page: page("/account/notices"), email: "ann<@example.com".into(), form: form.clone() }.render().unwrap());
        form.refuse("low_below", "field.amount");
        form.refuse("plan_days", "notices.error.days");
        let html = Notices { page: page("/account/notices"), email: "ann<@example.com".into(), form }.render().unwrap();
        check_page(&html);
        assert!(html.contains("value=\"7\" selected") && html.contains("ann&#60;@"), "{html}");
        let order = Order { details: "automatic".into(), ..order(OrderState::Pending) };
        assert!(order.is_automatic() && !order.keeps_card());
        check_page(&ConfirmPayment { page: page("/account/orders/1/confirm"), order }.render().unwrap());
    }
}

fn keys() -> Vec<KeyView> {
    let key = KeyView {
        id: Id(7),
        name: "Laptop & co".into(),
        prefix: "sk-abc".into(),
        budget: Some(Usd::dollars(5)),
        spent: Usd(312_000),
        held: Usd(0),
        requests: 3,
        last_used_at: Some(1_767_225_600_000),
        expires_at: NEVER,
        disabled_at: None,
        created_at: 0,
        options: KeyOptions::default(),
    };
    let off = KeyView { id: Id(8), disabled_at: Some(1), budget: None, last_used_at: None, ..key.clone() };
    vec![KeyView { id: Id(9), expires_at: 5, ..key.clone() }, key, off]
}

#[test]
fn every_page_renders_in_both_languages() {
    for lang in Lang::ALL {
        let page = |here: &str| sample_page(lang, here);
        let mut form = Form::empty(lang).fill("code", "ABCD-1");
        form.refuse("code", "field.required");
        let snippets = quick_start("https://shop.example", "small", "sk-...");
        let full = Dashboard {
            page: page("/account"),
            balance: balance(),
            today: Usd(312_000),
            month: Usd::dollars(3),
            requests: requests(),
            keys: keys(),
            form: form.clone(),
            snippets: snippets.clone(),
        };
        let html = full.render().unwrap();
        check_page(&html);
        for text in ["$0.000312", "1,234", "312 ms", "1.24 s", "ABCD-1", "Laptop &#38; co", "small&#60;"] {
            assert!(html.contains(text), "{text} in {html}");
        }
        let empty = Dashboard {
            balance: Balance { available: Usd(0), in_plans: Usd(0), held: Usd(0), owed: Usd(0), credits: vec![] },
            requests: vec![],
            keys: vec![],
            form: Form::empty(lang),
            ..full
        };
        check_page(&empty.render().unwrap());
        check_page(&Requests { page: page("/account/requests"), requests: requests(), older: Some(Id(5)), only: false }.render().unwrap());
        check_page(&Requests { page: page("/account/requests"), requests: requests(), older: None, only: true }.render().unwrap());
        check_page(&Requests { page: page("/account/requests"), requests: vec![], older: None, only: false }.render().unwrap());
        let mut verified = page("/account/keys");
        verified.visitor.as_mut().unwrap().verified = true;
        let made = Keys { page: verified, keys: keys(), form: form.clone(), made: Some(Secret::new("sk-secret".into())), now: 10 }.render().unwrap();
        check_page(&made);
        assert!(made.contains("sk-secret") && made.contains("action=\"/account/keys\""));
        let barred = Keys { page: page("/account/keys"), keys: vec![], form, made: None, now: 10 }.render().unwrap();
        check_page(&barred);
        assert!(!barred.contains("action=\"/account/keys\"") && barred.contains("action=\"/verify/resend\""), "no key before the address is confirmed");
        let key = keys().swap_remove(1);
        let mut form = key.options.fields(key.budget).into_iter().fold(Form::empty(lang), |form, (name, value)| form.fill(name, value)).fill("expires", "keep");
        let html = EditKey { page: page("/account/keys/7"), key: key.clone(), form: form.clone() }.render().unwrap();
        check_page(&html);
        assert!(
            html.contains("Laptop &#38; co") && html.contains("value=\"keep\" selected") && html.contains("name=\"budget\" type=\"text\" value=\"5\""),
            "{html}"
        );
        assert_eq!(KeyFields::read(|name| form.raw(name)).access.models, "");
        form.refuse("models", "key.error.models");
        check_page(&EditKey { page: page("/account/keys/7"), key, form }.render().unwrap());
        let question = Question { title: "T?".into(), loss: "L".into(), action: "/x".into(), yes: "Y".into(), back: "/b".into() };
        check_page(&Ask { page: Page { visitor: None, ..page("/account/keys/1/delete") }, question }.render().unwrap());
    }
}

#[test]
fn gift_cards_and_referrals_render_in_both_languages() {
    let sale = SaleView { order: Id(4), amount: Usd::dollars(25), to: "bob<b@example.org".into(), deliver_at: 1, state: SaleState::Waiting };
    let states = [SaleState::Waiting, SaleState::Sent, SaleState::Redeemed, SaleState::Held, SaleState::Recalled];
    let bought: Vec<SaleView> = states.into_iter().map(|state| SaleView { state, ..sale.clone() }).collect();
    let redeemed = vec![RedeemedCard { id: Id(5), tail: "WXYZ".into(), amount: Usd::dollars(5), at: 1 }];
    let one = Referral {
        user: Id(9),
        email: "bob@example.org".into(),
        referrer: Id(8),
        referrer_email: "ann@example.com".into(),
        state: State::Held,
        same_source: true,
        joined_at: 1,
        order: Some(Id(4)),
        due_at: Some(2),
        reward: Usd::dollars(5),
        welcome: Usd::dollars(3),
        rewarded: false,
    };
    let brought: Vec<Referral> = State::ALL.into_iter().map(|state| Referral { state, due_at: None, ..one.clone() }).chain([one.clone()]).collect();
    for lang in Lang::ALL {
        let page = |here: &str| sample_page(lang, here);
        let mut form = Form::empty(lang).fill("letter_lang", "zh").fill("time_zone", "Asia/\"Shanghai").fill("message", "Hi");
        form.refuse("to", "field.email");
        form.refuse("code", "redeem.limit");
        let (older_bought, older_redeemed) = (Some("/account/gift-cards?bought=1".to_owned()), Some("/account/gift-cards?at=1&card=2".to_owned()));
        let full = GiftCards {
            page: page("/account/gift-cards"),
            bought: bought.clone(),
            older_bought,
            redeemed: redeemed.clone(),
            older_redeemed,
            form,
            takes_cards: true,
        };
        let html = full.render().unwrap();
        check_page(&html);
        assert!(html.contains("name=\"what\" value=\"gift_card\"") && html.contains("bob&#60;b@") && html.contains("Asia/&#34;Shanghai"), "{html}");
        assert_eq!(html.matches("/send\"").count(), 2, "what is redeemed or refunded is not sent again");
        let empty =
            GiftCards { bought: vec![], older_bought: None, redeemed: vec![], older_redeemed: None, form: Form::empty(lang), takes_cards: false, ..full };
        let html = empty.render().unwrap();
        check_page(&html);
        assert!(!html.contains("value=\"card\""));
        let mut form = Form::empty(lang).fill("to", "x");
        form.refuse("to", "field.email");
        check_page(&SendCard { page: page("/account/gift-cards/4/send"), sale: sale.clone(), form }.render().unwrap());
        let rules = Rules { enabled: true, ..Rules::default() };
        let link = Some(Link { code: "abcdefghjk".into(), rewarded: 2 });
        let full = Referrals { page: page("/account/referrals"), rules, link, brought: brought.clone(), older: Some(Id(3)) };
        let html = full.render().unwrap();
        check_page(&html);
        assert!(html.contains("https://shop.example/r/abcdefghjk") && html.contains("b…@example.org") && !html.contains("bob@example.org"), "{html}");
        let mut verified = page("/account/referrals");
        verified.visitor.as_mut().unwrap().verified = true;
        let html = Referrals { page: verified, link: None, brought: vec![], older: None, ..full }.render().unwrap();
        check_page(&html);
        assert!(html.contains("action=\"/account/referrals\""));
        for enabled in [true, false] {
            let rules = Rules { enabled, ..rules };
            let html = Referrals { page: page("/account/referrals"), rules, link: None, brought: vec![], older: None }.render().unwrap();
            check_page(&html);
            assert!(!html.contains("action=\"/account/referrals\""), "no link before the address is confirmed, nor when nothing is given");
        }
    }
}
