//! The same tests on counters in the process and, when `FAREBOX_TEST_REDIS_URL` names one, in Redis.

use super::*;
use crate::kernel::Id;
use proptest::prelude::*;
use std::num::NonZeroU64;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const START: i64 = 1_800_000_000_000;
/// A test may wait for Redis as long as it takes.
const PATIENT: Duration = Duration::from_secs(20);

/// The kinds of counters under test, each with its own clock.
fn kinds() -> Vec<(Clock, Limits)> {
    let (own, shared) = (Clock::manual(START), Clock::manual(START));
    let mut kinds = vec![(own.clone(), Limits::in_process(own))];
    kinds.extend(redis_url().map(|url| (shared.clone(), Limits::with_patience(shared, &Random::system(), &url, PATIENT).unwrap())));
    kinds
}

fn redis_url() -> Option<String> {
    std::env::var("FAREBOX_TEST_REDIS_URL").ok()
}

/// One that no other run of the tests has counted in the same Redis.
fn scope(whose: Whose, rules: Rules) -> Scope {
    Scope { id: ScopeId { whose, id: Id(i64::from_le_bytes(Random::system().bytes()) & i64::MAX) }, rules }
}

fn at_most(n: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(n)
}

fn rpm(n: u64) -> Rules {
    Rules { rpm: at_most(n), ..Rules::default() }
}

fn tpm(n: u64) -> Rules {
    Rules { tpm: at_most(n), ..Rules::default() }
}

fn rpd(n: u64) -> Rules {
    Rules { rpd: at_most(n), ..Rules::default() }
}

fn concurrency(n: u64) -> Rules {
    Rules { concurrency: at_most(n), ..Rules::default() }
}

/// Admits, ends each request at once, until one is refused.
async fn until_refused(limits: &Limits, scope: Scope) -> (u64, Exceeded) {
    for n in 0..100_000 {
        match limits.admit(&[scope], 0).await {
            Ok(permit) => permit.finish(0),
            Err(exceeded) => return (n, exceeded),
        }
    }
    panic!("the limit has no effect")
}

#[tokio::test]
async fn a_scope_without_rules_is_never_refused_and_nothing_is_remembered_of_it() {
    for (_, limits) in kinds() {
        let free = scope(Whose::Key, Rules::default());
        for _ in 0..1_000 {
            assert_eq!(limits.admit(&[free, free], u64::MAX).await.unwrap().rates(), Rates::default());
        }
        assert_eq!(limits.0.local.len(), 0);
    }
}

#[tokio::test]
async fn a_minute_s_requests_may_come_at_once_and_then_at_their_pace() {
    for (clock, limits) in kinds() {
        let key = scope(Whose::Key, rpm(6));
        let (allowed, refused) = until_refused(&limits, key).await;
        assert_eq!((allowed, refused.what, refused.whose, refused.limit, refused.remaining), (6, What::Requests, Whose::Key, 6, 0));
        assert_eq!(refused.retry_after_ms, 10_000);
        assert_eq!(refused.rates.requests, Some(Rate { limit: 6, remaining: 0, reset_ms: MINUTE }));
        clock.advance(refused.retry_after_ms - 1);
        assert_eq!(limits.admit(&[key], 0).await.unwrap_err().retry_after_ms, 1);
        clock.advance(1);
        assert!(limits.admit(&[key], 0).await.is_ok());
        assert!(limits.admit(&[key], 0).await.is_err(), "one, not a whole new minute");
        clock.advance(MINUTE);
        assert_eq!(until_refused(&limits, key).await.0, 6);
    }
}

#[tokio::test]
async fn the_edge_of_a_minute_does_not_double_a_limit() {
    for (clock, limits) in kinds() {
        let key = scope(Whose::Key, rpm(60));
        // The last second of one minute by the clock on the wall, and the first of the next.
        clock.advance(MINUTE - START % MINUTE - 1_000);
        assert_eq!(until_refused(&limits, key).await.0, 60);
        clock.advance(2_000);
        assert_eq!(until_refused(&limits, key).await.0, 2);
    }
}

#[tokio::test]
async fn who_keeps_to_the_limit_is_never_refused() {
    for (clock, limits) in kinds() {
        let key = scope(Whose::Key, rpm(7));
        for n in 1..60 {
            assert!(limits.admit(&[key], 0).await.is_ok(), "{n}");
            // A minute divided by seven has a remainder; seven of these are a minute.
            clock.advance(MINUTE * n / 7 - MINUTE * (n - 1) / 7);
        }
    }
}

#[tokio::test]
async fn headers_tell_the_tightest_scope() {
    for (clock, limits) in kinds() {
        let user = scope(Whose::User, Rules { rpm: at_most(3), tpm: at_most(1_000), rpd: at_most(50), ..Rules::default() });
        let key = scope(Whose::Key, Rules { rpm: at_most(100), tpm: at_most(600), ..Rules::default() });
        let rates = limits.admit(&[key, user], 200).await.unwrap().rates();
        assert_eq!(rates.requests, Some(Rate { limit: 3, remaining: 2, reset_ms: 20_000 }));
        assert_eq!(rates.tokens, Some(Rate { limit: 600, remaining: 400, reset_ms: 20_000 }));
        let few = scope(Whose::Key, Rules { rpm: at_most(30), rpd: at_most(2), ..Rules::default() });
        let rates = limits.admit(&[few], 0).await.unwrap().rates();
        let day_ends = (START.div_euclid(HOUR) + 25) * HOUR - clock.now_ms();
        assert_eq!(rates.requests, Some(Rate { limit: 2, remaining: 1, reset_ms: day_ends }));
    }
}

#[tokio::test]
async fn it_is_counted_in_every_scope_or_in_none() {
    for (_, limits) in kinds() {
        let user = scope(Whose::User, rpm(3));
        let keys = [scope(Whose::Key, rpm(2)), scope(Whose::Key, Rules { rpm: at_most(2), concurrency: at_most(5), ..Rules::default() })];
        let mut running = Vec::new();
        for _ in 0..2 {
            running.push(limits.admit(&[keys[0], user], 0).await.unwrap());
        }
        for _ in 0..5 {
            assert_eq!(limits.admit(&[keys[0], user], 0).await.unwrap_err().whose, Whose::Key);
        }
        running.push(limits.admit(&[keys[1], user], 0).await.unwrap());
        let refused = limits.admit(&[keys[1], user], 0).await.unwrap_err();
        assert_eq!((refused.whose, refused.retry_after_ms), (Whose::User, 20_000));
        // What the user's limit refused has used nothing of the key's.
        running.push(limits.admit(&[keys[1]], 0).await.unwrap());
        assert!(limits.admit(&[keys[1]], 0).await.is_err());
    }
}

#[tokio::test]
async fn tokens_are_reserved_by_estimate_and_corrected() {
    for (clock, limits) in kinds() {
        let key = scope(Whose::Key, tpm(1_000));
        let first = limits.admit(&[key], 800).await.unwrap();
        assert_eq!(first.rates().tokens.unwrap().remaining, 200);
        let refused = limits.admit(&[key], 300).await.unwrap_err();
        assert_eq!((refused.what, refused.limit, refused.remaining, refused.retry_after_ms), (What::Tokens, 1_000, 200, 6_000));
        first.finish(100);
        first.finish(900);
        let second = limits.admit(&[key], 300).await.unwrap();
        assert_eq!(second.rates().tokens.unwrap().remaining, 600, "only the first correction counts");
        second.finish(2_400);
        // 2,500 used: what is beyond a minute's must leak away before the next.
        let refused = limits.admit(&[key], 1).await.unwrap_err();
        assert_eq!((refused.remaining, refused.retry_after_ms), (0, 90_060));
        clock.advance(90_059);
        assert_eq!(limits.admit(&[key], 1).await.unwrap_err().retry_after_ms, 1);
        clock.advance(1);
        assert!(limits.admit(&[key], 1).await.is_ok());
    }
}

#[tokio::test]
async fn a_request_that_used_nothing_gives_its_tokens_back() {
    for (_, limits) in kinds() {
        let key = scope(Whose::Key, tpm(1_000));
        for _ in 0..20 {
            drop(limits.admit(&[key], 900).await.unwrap());
        }
    }
}

#[tokio::test]
async fn one_that_is_larger_than_a_minute_passes_when_nothing_else_was_used() {
    for (clock, limits) in kinds() {
        let key = scope(Whose::Key, tpm(1_000));
        limits.admit(&[key], u64::MAX).await.unwrap().finish(1_000_000_000);
        let refused = limits.admit(&[key], 5_000).await.unwrap_err();
        assert_eq!(refused.retry_after_ms, 61 * MINUTE, "nobody waits for more than an hour's debt");
        clock.advance(refused.retry_after_ms);
        assert!(limits.admit(&[key], 5_000).await.is_ok());
    }
}

#[tokio::test]
async fn a_long_answer_counts_although_its_minute_is_over() {
    for (clock, limits) in kinds() {
        let key = scope(Whose::Key, tpm(1_000));
        let long = limits.admit(&[key], 500).await.unwrap();
        clock.advance(10 * MINUTE);
        long.finish(1_500);
        assert_eq!(limits.admit(&[key], 1).await.unwrap_err().retry_after_ms, 60);
    }
}

#[tokio::test]
async fn a_day_is_counted_strictly_and_comes_back_by_the_hour() {
    for (clock, limits) in kinds() {
        clock.advance(HOUR - START % HOUR);
        let start = clock.now_ms();
        let key = scope(Whose::Key, rpd(10));
        for _ in 0..4 {
            assert!(limits.admit(&[key], 0).await.is_ok());
        }
        clock.advance(5 * HOUR + 1);
        let (allowed, refused) = until_refused(&limits, key).await;
        assert_eq!((allowed, refused.what), (6, What::Day));
        assert_eq!(refused.retry_after_ms, start + 25 * HOUR - clock.now_ms());
        clock.advance(refused.retry_after_ms - 1);
        assert!(limits.admit(&[key], 0).await.is_err());
        clock.advance(1);
        assert_eq!(until_refused(&limits, key).await.0, 4);
        clock.advance(50 * HOUR);
        assert_eq!(until_refused(&limits, key).await.0, 10);
    }
}

#[tokio::test]
async fn requests_at_the_same_time_are_limited_and_their_place_is_given_back() {
    for (_, limits) in kinds() {
        let user = scope(Whose::User, concurrency(3));
        let mut running = Vec::new();
        for _ in 0..3 {
            running.push(limits.admit(&[user], 0).await.unwrap());
        }
        let refused = limits.admit(&[user], 0).await.unwrap_err();
        assert_eq!((refused.what, refused.limit, refused.rates), (What::Concurrency, 3, Rates::default()));
        // A caller who sends one after the other is never refused for the last one.
        for _ in 0..50 {
            drop(running.pop());
            running.push(limits.admit(&[user], 0).await.unwrap());
        }
        running[0].finish(7);
        running.push(limits.admit(&[user], 0).await.unwrap());
        running.clear();
        let scopes = [user];
        let at_once = futures_util::future::join_all((0..10).map(|_| limits.admit(&scopes, 0))).await;
        assert_eq!(at_once.iter().filter(|one| one.is_ok()).count(), 3);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_are_all_counted() {
    for (_, limits) in kinds() {
        let (user, key) = (scope(Whose::User, rpm(150)), scope(Whose::Key, Rules { rpm: at_most(100), tpm: at_most(10_000), ..Rules::default() }));
        let tasks: Vec<_> = (0..300)
            .map(|_| {
                let limits = limits.clone();
                tokio::spawn(async move { limits.admit(&[key, user], 10).await.map(|permit| permit.finish(10)).is_ok() })
            })
            .collect();
        let mut allowed = 0;
        for task in tasks {
            allowed += usize::from(task.await.unwrap());
        }
        assert_eq!(allowed, 100);
    }
}

#[tokio::test]
async fn a_limit_that_changes_holds_at_once() {
    for (_, limits) in kinds() {
        let key = scope(Whose::Key, rpm(10));
        for _ in 0..4 {
            assert!(limits.admit(&[key], 0).await.is_ok());
        }
        assert!(limits.admit(&[Scope { rules: rpm(4), ..key }], 0).await.is_err());
        assert_eq!(limits.admit(&[Scope { rules: rpm(5), ..key }], 0).await.unwrap().rates().requests.unwrap().remaining, 0);
        assert!(limits.admit(&[Scope { rules: Rules::default(), ..key }], 0).await.is_ok());
    }
}

#[tokio::test]
async fn the_highest_limits_are_counted_exactly() {
    for (clock, limits) in kinds() {
        let key = scope(Whose::Key, tpm(MAX_LIMIT));
        let most = limits.admit(&[key], MAX_LIMIT - 1).await.unwrap();
        assert_eq!(most.rates().tokens.unwrap().remaining, 1);
        let last = limits.admit(&[key], 1).await.unwrap();
        assert_eq!(limits.admit(&[key], 1).await.unwrap_err().retry_after_ms, 1);
        clock.advance(1);
        assert!(limits.admit(&[key], 1).await.is_ok());
        most.finish(u64::MAX);
        last.finish(0);
        assert!(limits.admit(&[key], 1).await.unwrap_err().retry_after_ms <= 61 * MINUTE);
    }
}

#[tokio::test]
async fn a_clock_that_was_set_back_locks_nobody_out() {
    for (clock, limits) in kinds() {
        let key = scope(Whose::Key, rpm(2));
        clock.advance(30 * HOUR);
        assert_eq!(until_refused(&limits, key).await.0, 2);
        clock.advance(-30 * HOUR);
        assert!(limits.admit(&[key], 0).await.unwrap_err().retry_after_ms <= MINUTE);
        clock.advance(MINUTE);
        assert_eq!(until_refused(&limits, key).await.0, 2);
    }
}

#[tokio::test]
async fn what_is_idle_is_forgotten() {
    let clock = Clock::manual(START);
    let limits = Limits::in_process(clock.clone());
    for n in 0..1_000 {
        let rules = if n % 2 == 0 { rpm(1) } else { Rules { tpm: at_most(5), rpd: at_most(5), ..Rules::default() } };
        limits.admit(&[scope(Whose::Key, rules)], 5).await.unwrap().finish(5);
    }
    let busy = scope(Whose::User, concurrency(1));
    let running = limits.admit(&[busy], 0).await.unwrap();
    assert!(limits.0.local.len() > 900);
    clock.advance(26 * HOUR);
    for _ in 0..1_000 {
        assert!(limits.admit(&[busy], 0).await.is_err());
    }
    assert_eq!(limits.0.local.len(), 1, "only the one in which a request runs");
    drop(running);
}

#[test]
fn memory_is_bounded() {
    let local = Local::default();
    for n in 0..local::CAPACITY as i64 + 5_000 {
        let one = Scope { id: ScopeId { whose: Whose::Key, id: Id(n) }, rules: rpm(1) };
        local.admit(&[one], 0, START).unwrap();
    }
    assert!(local.len() <= local::CAPACITY);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the times of the requests are: in every span of time at most the limit, and the limit per minute of the span; in every day at most the day's.
    #[test]
    fn no_span_of_time_has_more_than_its_share(limit in 1u64..40, daily in 1u64..60, steps in prop::collection::vec(prop_oneof![0i64..3_000, 0i64..100_000, 0i64..20_000_000], 1..200)) {
        let local = Local::default();
        let rules = Rules { rpm: at_most(limit), rpd: at_most(daily), ..Rules::default() };
        let one = Scope { id: ScopeId { whose: Whose::Key, id: Id(1) }, rules };
        let (mut now, mut passed) = (START, Vec::new());
        for step in steps {
            now += step;
            match local.admit(&[one], 0, now) {
                Ok(_) => passed.push(now),
                Err(exceeded) => {
                    prop_assert!(exceeded.retry_after_ms > 0);
                    let at = now + exceeded.retry_after_ms;
                    let again = local.admit(&[one], 0, at);
                    prop_assert!(again.is_ok(), "not at the moment that was promised: {:?}", again);
                    (now, _) = (at, passed.push(at));
                }
            }
        }
        for (from, &start) in passed.iter().enumerate() {
            for (to, &end) in passed.iter().enumerate().skip(from) {
                let (count, span) = ((to - from + 1) as i64, end - start);
                prop_assert!((count - limit as i64) * MINUTE <= span * limit as i64, "{count} in {span} ms");
                prop_assert!(span >= 24 * HOUR || count <= daily as i64, "{count} in {span} ms of a day");
            }
        }
    }
}

#[tokio::test]
async fn nodes_share_what_redis_counts() {
    let Some(url) = redis_url() else { return };
    let clock = Clock::manual(START);
    let nodes = [(); 2].map(|()| Limits::with_patience(clock.clone(), &Random::system(), &url, PATIENT).unwrap());
    let all = Rules { rpm: at_most(4), tpm: at_most(1_000), rpd: at_most(9), concurrency: at_most(3) };
    let user = scope(Whose::User, all);
    let first = nodes[0].admit(&[user], 400).await.unwrap();
    let second = nodes[1].admit(&[user], 400).await.unwrap();
    assert_eq!(nodes[0].admit(&[user], 400).await.unwrap_err().what, What::Tokens);
    first.finish(10);
    nodes[0].0.together.as_ref().unwrap().tell().await;
    let third = nodes[1].admit(&[user], 400).await.unwrap();
    assert_eq!(third.rates().tokens.unwrap().remaining, 190);
    let fourth = nodes[0].admit(&[user], 1).await.unwrap();
    assert_eq!(nodes[1].admit(&[user], 1).await.unwrap_err().what, What::Requests);
    drop((second, third, fourth));
}

#[tokio::test]
async fn the_leases_of_a_dead_node_end_and_those_of_a_living_one_do_not() {
    let Some(url) = redis_url() else { return };
    let clock = Clock::manual(START);
    let [living, dying, other] = [(); 3].map(|()| Limits::with_patience(clock.clone(), &Random::system(), &url, PATIENT).unwrap());
    let user = scope(Whose::User, concurrency(2));
    let stream = living.admit(&[user], 0).await.unwrap();
    // The node dies: nobody gives this place back, and nobody renews it.
    std::mem::forget(dying.admit(&[user], 0).await.unwrap());
    assert_eq!(other.admit(&[user], 0).await.unwrap_err().what, What::Concurrency);
    clock.advance(together::LEASE_MS - 1);
    living.0.together.as_ref().unwrap().renew().await;
    assert!(other.admit(&[user], 0).await.is_err());
    clock.advance(1);
    let taken = other.admit(&[user], 0).await.expect("the dead node's place is free");
    assert!(other.admit(&[user], 0).await.is_err(), "the stream on the living node still runs");
    drop((stream, taken));
}

#[tokio::test]
async fn a_request_that_ends_while_its_lease_is_renewed_is_over() {
    let Some(url) = redis_url() else { return };
    let clock = Clock::manual(START);
    let [node, other] = [(); 2].map(|()| Limits::with_patience(clock.clone(), &Random::system(), &url, PATIENT).unwrap());
    let user = scope(Whose::User, concurrency(1));
    let together = node.0.together.as_ref().unwrap();
    let request = node.admit(&[user], 0).await.unwrap();
    let held = together.leases_held();
    assert_eq!(held.len(), 1);
    drop(request);
    together.tell().await;
    together.renew_these(held.clone()).await;
    together.tell().await;
    drop(other.admit(&[user], 0).await.expect("the lease is not there again"));
    // What still runs is renewed even when Redis has lost it.
    other.0.together.as_ref().unwrap().tell().await;
    let request = node.admit(&[user], 0).await.unwrap();
    clock.advance(together::LEASE_MS);
    drop(other.admit(&[user], 0).await.expect("the lease has ended"));
    other.0.together.as_ref().unwrap().tell().await;
    together.renew().await;
    assert!(other.admit(&[user], 0).await.is_err());
    drop(request);
}

#[tokio::test]
async fn whoever_leaves_while_redis_is_asked_leaves_no_lease() {
    let Some(url) = redis_url() else { return };
    let limits = Limits::with_patience(Clock::manual(START), &Random::system(), &url, PATIENT).unwrap();
    let scopes = [scope(Whose::User, concurrency(1))];
    drop(limits.admit(&scopes, 0).await.unwrap());
    for _ in 0..20 {
        let mut asking = Box::pin(limits.admit(&scopes, 0));
        let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(asking.as_mut().poll(cx).is_pending())).await;
        assert!(waits, "the question is on its way");
        drop(asking);
        // The question goes on by itself, and is answered before the next.
        drop(limits.admit(&scopes, 0).await);
        drop(limits.admit(&scopes, 0).await.expect("nobody is in"));
    }
}

#[tokio::test]
async fn without_an_answer_from_redis_a_node_counts_for_itself() {
    // Bound and closed again: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let limits = Limits::shared(Clock::manual(START), &Random::system(), &format!("redis://{free}")).unwrap();
    assert!(limits.is_alone().await);
    let key = scope(Whose::Key, Rules { rpm: at_most(5), concurrency: at_most(1), ..Rules::default() });
    assert_eq!(until_refused(&limits, key).await.0, 5);
    assert!(!Limits::in_process(Clock::manual(START)).is_alone().await);
}

#[tokio::test]
async fn a_redis_that_swallows_everything_costs_one_short_wait() {
    // Connections are accepted by the system and never read.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = Limits::shared(Clock::manual(START), &Random::system(), &format!("redis://{}", silent.local_addr().unwrap())).unwrap();
    let all = tokio::time::timeout(Duration::from_secs(10), until_refused(&limits, scope(Whose::Key, rpm(1_000))));
    assert_eq!(all.await.expect("a thousand requests wait once").0, 1_000);
}

/// Redis goes, and comes back at the same address.
#[tokio::test]
async fn a_redis_that_comes_back_is_used_again() {
    let Some(url) = redis_url() else { return };
    let address = url.trim_start_matches("redis://").trim_end_matches('/').to_owned();
    let door = Door::open(&address).await;
    let clock = Clock::manual(START);
    let through = Limits::with_patience(clock.clone(), &Random::system(), &format!("redis://{}", door.address), Duration::from_millis(500)).unwrap();
    let direct = Limits::with_patience(clock.clone(), &Random::system(), &url, PATIENT).unwrap();
    let user = scope(Whose::User, rpm(4));
    assert!(through.admit(&[user], 0).await.is_ok() && !through.is_alone().await);
    assert_eq!(direct.admit(&[user], 0).await.unwrap().rates().requests.unwrap().remaining, 2);
    door.close();
    assert_eq!(until_refused(&through, user).await.0, 4, "its own counters begin afresh");
    assert!(through.is_alone().await);
    door.open_again();
    // It is left alone for a while; time passes until it is asked again. What was counted there has partly leaked.
    for _ in 0..200 {
        clock.advance(2_000);
        if !through.is_alone().await {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(!through.is_alone().await);
    let user = scope(Whose::User, rpm(4));
    assert!(through.admit(&[user], 0).await.is_ok());
    assert_eq!(direct.admit(&[user], 0).await.unwrap().rates().requests.unwrap().remaining, 2, "counted together again");
}

/// A door before Redis that can be shut.
struct Door {
    address: std::net::SocketAddr,
    open: tokio::sync::watch::Sender<bool>,
}

/// Host and port of an address that may name a database as well.
fn address_of(redis: &str) -> &str {
    redis.split('/').next().unwrap_or(redis)
}

impl Door {
    async fn open(redis: &str) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (open, seen) = tokio::sync::watch::channel(true);
        let redis = redis.to_owned();
        tokio::spawn(async move {
            while let Ok((mut outside, _)) = listener.accept().await {
                let (redis, mut seen) = (redis.clone(), seen.clone());
                tokio::spawn(async move {
                    if !*seen.borrow() {
                        return;
                    }
                    let mut inside = tokio::net::TcpStream::connect(address_of(&redis)).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut outside, &mut inside) => {}
                        _ = seen.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { address, open }
    }

    fn close(&self) {
        self.open.send_replace(false);
    }

    fn open_again(&self) {
        self.open.send_replace(true);
    }
}
