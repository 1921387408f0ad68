//! What happens because time passes: checkouts close, periods end, unpaid invoices are tried again.

use super::world::{Kind, World, word};
use super::{billing, checkout, invoices};
use serde_json::Value;

/// More than a century of daily renewals: a world whose clock was moved by mistake must come to an end.
const MOST: usize = 50_000;

enum Due {
    Expire(String),
    Turn(String),
    Again(String),
}

/// Does everything that was due by now, in the order in which it was.
pub(super) fn pass(world: &mut World) {
    let now = world.now();
    for _ in 0..MOST {
        let Some((at, due)) = next(world).filter(|(at, _)| *at <= now) else { return };
        world.at(at, |world| match due {
            Due::Expire(session) => drop(checkout::expire(world, &session)),
            Due::Turn(subscription) => billing::turn(world, &subscription),
            Due::Again(invoice) => invoices::again(world, &invoice),
        });
    }
}

fn next(world: &World) -> Option<(i64, Due)> {
    let id = |thing: &Value| word(thing, "/id").to_owned();
    let open = world.all(Kind::Session).filter(|session| session["status"] == "open");
    let sessions = open.filter_map(|session| Some((session["expires_at"].as_i64()?, Due::Expire(id(session)))));
    let running = world.all(Kind::Subscription).filter(|subscription| billing::runs(subscription));
    let turns = running.map(|subscription| (billing::ends_at(subscription), Due::Turn(id(subscription))));
    let invoices = world.all(Kind::Invoice).filter_map(|invoice| Some((invoice["next_payment_attempt"].as_i64()?, Due::Again(id(invoice)))));
    sessions.chain(turns).chain(invoices).min_by_key(|(at, _)| *at)
}
