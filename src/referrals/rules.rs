//! What the shop gives for bringing others: a row of the settings.

use crate::admin_log;
use crate::db::{Conn, Db};
use crate::kernel::fields::{self, Mistakes};
use crate::kernel::{FieldError, Id, Kit, Usd, money::MAX_TYPED};
use crate::settings::{self, Name};
use serde_json::{Value, json};

/// The longest hold.
const MAX_HOLD_DAYS: i64 = 365;
const MAX_CAP: i64 = 1_000_000;

/// What the shop gives, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Whether anybody gets anything.
    pub enabled: bool,
    /// What the referrer gets.
    pub reward: Usd,
    /// What who came gets.
    pub welcome: Usd,
    /// What their order must come to.
    pub minimum: Usd,
    /// How many days the credit is held.
    pub hold_days: i64,
    /// How many rewards one referrer can get.
    pub cap: i64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { enabled: false, reward: Usd::dollars(5), welcome: Usd::dollars(5), minimum: Usd::dollars(10), hold_days: 14, cap: 20 }
    }
}

/// The form, as it was typed; each field by its name.
#[derive(Clone, Copy, Debug, Default)]
pub struct RulesFields<'a> {
    /// Ticked.
    pub enabled: &'a str,
    /// Dollars.
    pub reward: &'a str,
    /// Dollars.
    pub welcome: &'a str,
    /// Dollars.
    pub minimum: &'a str,
    /// Days.
    pub hold_days: &'a str,
    /// A number.
    pub cap: &'a str,
}

impl Rules {
    /// From a form.
    ///
    /// # Errors
    /// Every mistake, by the names of [`RulesFields`].
    pub fn parse(typed: &RulesFields<'_>) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let mut dollars = |field, text: &str| {
            let amount = text.parse::<Usd>().map_err(fields::money_key);
            let amount = amount.and_then(|amount| if (Usd::ZERO..=MAX_TYPED).contains(&amount) { Ok(amount) } else { Err("field.amount") });
            mistakes.take(field, amount).unwrap_or_default()
        };
        let (reward, welcome, minimum) = (dollars("reward", typed.reward), dollars("welcome", typed.welcome), dollars("minimum", typed.minimum));
        let hold_days = mistakes.take("hold_days", fields::whole_number(typed.hold_days, 0..=MAX_HOLD_DAYS, "referral.error_hold_days"));
        let cap = mistakes.take("cap", fields::whole_number(typed.cap, 0..=MAX_CAP, "referral.error_cap"));
        mistakes.check()?;
        let enabled = fields::ticked(typed.enabled);
        Ok(Self { enabled, reward, welcome, minimum, hold_days: hold_days.unwrap_or_default(), cap: cap.unwrap_or_default() })
    }

    /// The values of the form's fields.
    pub fn fields(&self) -> [(&'static str, String); 6] {
        [
            ("enabled", if self.enabled { "on".to_owned() } else { String::new() }),
            ("reward", self.reward.to_string()),
            ("welcome", self.welcome.to_string()),
            ("minimum", self.minimum.to_string()),
            ("hold_days", self.hold_days.to_string()),
            ("cap", self.cap.to_string()),
        ]
    }

    /// As the settings keep them: amounts as decimal texts, so that nobody reads floats.
    fn write(&self) -> String {
        let all: serde_json::Map<String, Value> = self.fields().into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect();
        Value::Object(all).to_string()
    }

    fn read(text: &str) -> Option<Self> {
        let all: Value = serde_json::from_str(text).ok()?;
        let value = |name: &str| all.get(name).and_then(Value::as_str).unwrap_or_default();
        let [enabled, reward, welcome, minimum, hold_days, cap] = ["enabled", "reward", "welcome", "minimum", "hold_days", "cap"].map(value);
        Self::parse(&RulesFields { enabled, reward, welcome, minimum, hold_days, cap }).ok()
    }
}

/// What the shop gives now. What cannot be read (an edit by hand) is nothing.
///
/// # Errors
/// The database's.
pub async fn rules(conn: &mut Conn) -> Result<Rules, sqlx::Error> {
    let text = settings::get(conn, Name::Referrals).await?;
    Ok(text.and_then(|text| Rules::read(&text)).unwrap_or_default())
}

/// Sets what the shop gives from now on.
///
/// # Errors
/// The database's.
pub async fn save_rules(db: &Db, kit: &Kit, actor: Id, rules: &Rules) -> Result<(), sqlx::Error> {
    let text = rules.write();
    let mut tx = db.write().await?;
    settings::put(&mut tx, kit.clock.now_ms(), Name::Referrals, &text).await?;
    admin_log::record(&mut tx, kit, Some(actor), "referrals-set", "", &text).await?;
    tx.commit().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_kept_and_refused_with_every_mistake() {
        let typed = RulesFields { enabled: "on", reward: "2.50", welcome: "0", minimum: "10", hold_days: "0", cap: "3" };
        let rules = Rules::parse(&typed).unwrap();
        assert_eq!((rules.reward, rules.welcome, rules.hold_days, rules.cap, rules.enabled), (Usd(2_500_000_000), Usd::ZERO, 0, 3, true));
        assert_eq!(Rules::read(&rules.write()), Some(rules));
        assert_eq!(Rules::read(&Rules::default().write()), Some(Rules::default()));
        assert_eq!((Rules::read("nonsense"), Rules::read("{}")), (None, None));
        let wrong = RulesFields { reward: "-1", welcome: "x", minimum: "", hold_days: "366", cap: "-1", enabled: "" };
        let fields: Vec<&str> = Rules::parse(&wrong).unwrap_err().into_iter().map(|mistake| mistake.field).collect();
        assert_eq!(fields, ["reward", "welcome", "minimum", "hold_days", "cap"]);
    }
}
