//! Sample contexts for the templates of the shop window.

use super::views::*;
use crate::i18n::Lang;
use crate::kernel::Price;
use crate::kernel::Prices;
use crate::referrals::Rules;
use crate::web::Form;
use crate::web::snippets::quick_start;
use crate::web::tests::{check_page, every_rare_price, sample_page};
use askama::Template;

fn wrong(lang: Lang, names: &[&'static str]) -> Form {
    let mut form = Form::empty(lang).fill("email", "ann@example").fill("password", "hunter2");
    names.iter().for_each(|name| form.refuse(name, "field.email"));
    form.refuse("", "field.email");
    form
}

#[test]
fn every_page_renders_in_both_languages() {
    for lang in Lang::ALL {
        let page = || sample_page(lang, "/sign-up?next=%2F");
        let prices = Prices { input: Price(150_000_000), output: Price(600_000_000), cached_input: Price(0), cache_write: Price(1), ..Prices::default() }
            .with(every_rare_price());
        let model = ModelRow { name: "gpt<5".into(), prices };
        let snippets = || quick_start("https://shop.example", "small", "sk-...");
        let full = Home { page: page(), snippets: snippets(), models: vec![model] }.render().unwrap();
        check_page(&full);
        assert!(full.contains("gpt&#60;5") && full.contains("$0.15"), "{full}");
        check_page(&Home { page: crate::web::Page { visitor: None, ..page() }, snippets: snippets(), models: vec![] }.render().unwrap());
        let sign_up = SignUp { page: page(), form: wrong(lang, &["email", "password"]), invited: Some(Rules::default()) }.render().unwrap();
        check_page(&sign_up);
        assert!(sign_up.contains("ann@example") && !sign_up.contains("hunter2"), "a password is never printed back");
        check_page(&SignUp { page: page(), form: Form::empty(lang), invited: None }.render().unwrap());
        check_page(&LogIn { page: page(), form: wrong(lang, &[]), next: "/account".into() }.render().unwrap());
        check_page(&Forgot { page: page(), form: wrong(lang, &["email"]) }.render().unwrap());
        check_page(&Reset { page: page(), form: wrong(lang, &["password"]), token: "t\"".into() }.render().unwrap());
        check_page(&Verify { page: page(), token: "t".into() }.render().unwrap());
        check_page(&Setup { page: page(), form: wrong(lang, &["site_name"]), token: "t".into() }.render().unwrap());
        let message = Message { page: page(), title: "T".into(), text: "X".into(), link: "/".into(), link_text: "L".into(), request_id: Some("01".into()) };
        check_page(&message.render().unwrap());
    }
}
