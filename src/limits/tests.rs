//! The same tests on counters in the process and, when `FAREBOX_TEST_REDIS_URL` names one, in Redis.

use super::memory::{CAPACITY, Memory};
use super::*;

/// The kinds of counters under test, each with its own clock.
fn kinds() -> Vec<(Clock, Limits)> {
    let clock = || Clock::manual(1_800_000_000_000);
    let (own, shared) = (clock(), clock());
    let mut kinds = vec![(own.clone(), Limits::in_process(own))];
    if let Ok(url) = std::env::var("FAREBOX_TEST_REDIS_URL") {
        kinds.push((shared.clone(), Limits::shared(shared, &Random::system(), &url).unwrap()));
    }
    kinds
}

/// A subject that no other run of the tests has counted in the same Redis.
fn subject() -> String {
    secrets::token(&Random::system())
}

async fn until_refused(limits: &Limits, what: Attempt, subject: &str) -> (i64, TooMany) {
    for n in 0.. {
        if let Err(too_many) = limits.attempt(what, subject).await {
            return (n, too_many);
        }
    }
    unreachable!("every limit has an end")
}

#[tokio::test]
async fn a_window_has_its_attempts_and_the_next_begins_afresh() {
    for (clock, limits) in kinds() {
        let (ada, bob) = (subject(), subject());
        let (allowed, refused) = until_refused(&limits, Attempt::LogInAccount, &ada).await;
        assert_eq!(allowed, 10);
        assert!((1..=15 * 60).contains(&refused.retry_after_s), "{refused}");
        assert_eq!(limits.attempt(Attempt::LogInAccount, &bob).await, Ok(()), "another account");
        assert_eq!(limits.attempt(Attempt::LogInSource, &ada).await, Ok(()), "another action");
        clock.advance(refused.retry_after_s * 1000 - 1000);
        assert!(limits.attempt(Attempt::LogInAccount, &ada).await.is_err());
        clock.advance(1000);
        assert_eq!(limits.attempt(Attempt::LogInAccount, &ada).await, Ok(()));
    }
}

#[tokio::test]
async fn forgetting_makes_room() {
    for (_, limits) in kinds() {
        let ada = subject();
        until_refused(&limits, Attempt::LogInAccount, &ada).await;
        limits.forget(Attempt::LogInAccount, &ada).await;
        assert_eq!(until_refused(&limits, Attempt::LogInAccount, &ada).await.0, 10);
    }
}

#[tokio::test]
async fn attempts_at_the_same_time_are_all_counted() {
    for (_, limits) in kinds() {
        let ada = subject();
        let tries = (0..100).map(|_| limits.attempt(Attempt::SignUpSource, &ada));
        let allowed = futures_util::future::join_all(tries).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(allowed, 20);
    }
}

#[tokio::test]
async fn nodes_share_what_redis_counts() {
    let Ok(url) = std::env::var("FAREBOX_TEST_REDIS_URL") else { return };
    let clock = Clock::manual(1_800_000_000_000);
    let nodes = [Limits::shared(clock.clone(), &Random::system(), &url).unwrap(), Limits::shared(clock, &Random::system(), &url).unwrap()];
    let ada = subject();
    assert_eq!(until_refused(&nodes[0], Attempt::SignUpAccount, &ada).await.0, 5);
    assert!(nodes[1].attempt(Attempt::SignUpAccount, &ada).await.is_err());
}

#[tokio::test]
async fn without_an_answer_from_redis_a_node_counts_for_itself() {
    // Bound and closed again: nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let limits = Limits::shared(Clock::manual(1_800_000_000_000), &Random::system(), &format!("redis://{free}")).unwrap();
    assert_eq!(until_refused(&limits, Attempt::SignUpAccount, "ada").await.0, 5);
}

#[tokio::test]
async fn a_redis_that_swallows_everything_costs_one_wait_and_not_one_for_each_attempt() {
    // Connections are accepted by the system and never read.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = Limits::shared(Clock::manual(1_800_000_000_000), &Random::system(), &format!("redis://{}", silent.local_addr().unwrap())).unwrap();
    let all = tokio::time::timeout(std::time::Duration::from_secs(10), until_refused(&limits, Attempt::LogInSource, "192.0.2.1"));
    assert_eq!(all.await.expect("sixty attempts wait once").0, 60);
}

#[test]
fn memory_is_bounded_and_ended_windows_go() {
    let memory = Memory::default();
    for n in 0..CAPACITY as i64 + 1_000 {
        memory.count(&Counter { key: n.to_string(), ends_at: 1_000_000 + n }, 0);
    }
    assert_eq!(memory.len(), CAPACITY);
    memory.count(&Counter { key: "last".into(), ends_at: i64::MAX }, 2_000_000);
    assert_eq!(memory.len(), 1);
}

/// Guesses until one is refused; how many were let through, and how long to wait.
async fn guess_until_refused(limits: &Limits, subject: &str) -> (i64, i64) {
    for n in 0.. {
        if let Err(too_many) = limits.guess(Guess::CodeAccount, subject).await {
            return (n, too_many.retry_after_s);
        }
    }
    unreachable!("every delay comes")
}

#[tokio::test]
async fn wrong_guesses_wait_longer_each_time() {
    for (clock, limits) in kinds() {
        let (ada, bob) = (subject(), subject());
        assert_eq!(guess_until_refused(&limits, &ada).await, (6, 10), "five are free, the sixth costs ten seconds");
        for expected in [20, 40, 80, 160, 320] {
            clock.advance(expected / 2 * 1000 - 1);
            assert_eq!(limits.guess(Guess::CodeAccount, &ada).await.unwrap_err().retry_after_s, 1, "not a millisecond earlier");
            clock.advance(1);
            assert_eq!(guess_until_refused(&limits, &ada).await, (1, expected));
        }
        assert!(limits.guess(Guess::CodeAccount, &bob).await.is_ok(), "another account");
        assert!(limits.guess(Guess::CodeSource, &ada).await.is_ok(), "another action");
        for _ in 0..20 {
            let Err(refused) = limits.guess(Guess::CodeAccount, &ada).await else { continue };
            assert!(refused.retry_after_s <= 24 * 3600, "no wait is longer than a day: {refused}");
            clock.advance(refused.retry_after_s * 1000);
        }
        assert!(guess_until_refused(&limits, &ada).await.1 >= 3600, "what was guessed before is not forgotten");
    }
}

#[tokio::test]
async fn guesses_at_the_same_time_gain_nothing() {
    for (_, limits) in kinds() {
        let ada = subject();
        let tries = (0..100).map(|_| limits.guess(Guess::CodeAccount, &ada));
        let allowed = futures_util::future::join_all(tries).await.into_iter().filter(Result::is_ok).count();
        assert_eq!(allowed, 6);
    }
}

#[tokio::test]
async fn right_guesses_leave_no_trace_and_forgive_no_wrong_ones() {
    for (_, limits) in kinds() {
        let ada = subject();
        for _ in 0..50 {
            let guessed = limits.guess(Guess::CodeAccount, &ada).await.unwrap();
            limits.was_right(&guessed).await;
        }
        for _ in 0..5 {
            limits.guess(Guess::CodeAccount, &ada).await.unwrap();
        }
        let guessed = limits.guess(Guess::CodeAccount, &ada).await.unwrap();
        assert!(limits.guess(Guess::CodeAccount, &ada).await.is_err(), "while it is not known to be right");
        limits.was_right(&guessed).await;
        assert_eq!(guess_until_refused(&limits, &ada).await, (1, 10));
    }
}

#[tokio::test]
async fn nodes_share_what_redis_knows_of_guesses() {
    let Ok(url) = std::env::var("FAREBOX_TEST_REDIS_URL") else { return };
    let clock = Clock::manual(1_800_000_000_000);
    let nodes = [Limits::shared(clock.clone(), &Random::system(), &url).unwrap(), Limits::shared(clock, &Random::system(), &url).unwrap()];
    let ada = subject();
    assert_eq!(guess_until_refused(&nodes[0], &ada).await.0, 6);
    assert_eq!(nodes[1].guess(Guess::CodeAccount, &ada).await.unwrap_err().retry_after_s, 10);
}

#[test]
fn delays_are_bounded_and_forgotten_after_a_day() {
    let slope = Slope { free: 1, first_ms: 1_000, most_ms: 5_000 };
    assert_eq!([0, 1, 2, 3, 4, 5, i64::MAX].map(|n| slope.delay(n)), [0, 0, 1_000, 2_000, 4_000, 5_000, 5_000]);
    let delays = Delays::default();
    for n in 0..CAPACITY + 1_000 {
        delays.guess(&n.to_string(), slope, n as i64).unwrap();
    }
    assert_eq!(delays.len(), CAPACITY);
    delays.guess("last", slope, i64::MAX / 2).unwrap();
    assert_eq!(delays.len(), 1);
}

#[test]
fn a_customer_s_whole_network_is_one_source() {
    let source = |text: &str| super::source(text.parse().unwrap());
    assert_eq!(source("192.0.2.7"), "192.0.2.7");
    assert_eq!(source("::ffff:192.0.2.7"), "192.0.2.7");
    assert_eq!(source("2001:db8:1:2:3:4:5:6"), source("2001:db8:1:2:ffff::1"));
    assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
}
