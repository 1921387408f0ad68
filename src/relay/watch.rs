//! Streams whose clients stop reading. The body of an answer is polled by the connection, and the connection polls it only while the client takes bytes: an HTTP/2 client
//! that opens no window, or an HTTP/1 client behind a full socket, would keep the hold, the upstream's connection and every place that the request takes for ever.
//!
//! So each stream is watched from outside: one task goes over all of them a few times within the time-out. Whoever was handed something and came back for nothing more in all
//! of it has its stream dropped, which settles it at what was handed over, as if the client had gone away. A stream that waits for its upstream is not meant: its own
//! time-out ends that. For each event this costs an uncontended lock and one store.

use bytes::Bytes;
use http_body::{Body, Frame};
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

/// How many times a stream is looked at within the time-out.
const LOOKS: u32 = 8;
/// In place of a number of looks: it is the upstream's turn.
const UPSTREAM: u32 = u32::MAX;

/// The streams of a node.
#[derive(Default)]
pub(super) struct Watch {
    streams: Mutex<Vec<Weak<dyn Stalling>>>,
    runs: AtomicBool,
}

/// A stream that may stall.
trait Stalling: Send + Sync {
    /// Counts a look: whether the client has taken nothing for too many of them.
    fn look(&self) -> bool;
    /// Drops it, unless its client has come back.
    fn give_up(&self);
}

struct Stream<B> {
    body: Mutex<Option<Box<B>>>,
    /// Looks since the client was handed something.
    looks: AtomicU32,
}

/// The body of a stream under watch.
pub(super) struct Watched<B>(Arc<Stream<B>>);

impl Watch {
    /// Watches a stream: a client that takes nothing for `patience` has left. That of the first stream counts for all.
    pub(super) fn over<B: Send + 'static>(self: &Arc<Self>, body: B, patience: Duration) -> Watched<B> {
        let stream = Arc::new(Stream { body: Mutex::new(Some(Box::new(body))), looks: AtomicU32::new(0) });
        let weak: Weak<Stream<B>> = Arc::downgrade(&stream);
        lock(&self.streams).push(weak);
        if !self.runs.swap(true, Ordering::Relaxed) {
            tokio::spawn(keep_looking(Arc::downgrade(self), patience / LOOKS));
        }
        Watched(stream)
    }

    /// Looks at every stream once.
    fn look(&self) {
        let mut stalled = Vec::new();
        lock(&self.streams).retain(|weak| {
            let Some(stream) = weak.upgrade() else { return false };
            if stream.look() {
                stalled.push(stream);
            }
            true
        });
        for stream in stalled {
            stream.give_up();
        }
    }
}

async fn keep_looking(watch: Weak<Watch>, every: Duration) {
    let mut pause = tokio::time::interval(every.max(Duration::from_millis(1)));
    pause.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        pause.tick().await;
        let Some(watch) = watch.upgrade() else { return };
        watch.look();
    }
}

impl<B: Send> Stalling for Stream<B> {
    fn look(&self) -> bool {
        let looks = self.looks.load(Ordering::Relaxed);
        if looks == UPSTREAM || looks >= LOOKS {
            return looks == LOOKS;
        }
        // Where the client came in between, that counts.
        let _ = self.looks.compare_exchange(looks, looks + 1, Ordering::Relaxed, Ordering::Relaxed);
        false
    }

    fn give_up(&self) {
        // Whoever has the lock is being served.
        let Ok(mut body) = self.body.try_lock() else { return };
        if self.looks.load(Ordering::Relaxed) != LOOKS {
            return;
        }
        let body = body.take();
        if body.is_some() {
            tracing::info!("a client took nothing of its stream for too long; it is settled as if the client had gone away");
        }
    }
}

impl<B: Body<Data = Bytes, Error = Infallible> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let mut body = lock(&self.0.body);
        // Not an end: what comes late must not look whole.
        let Some(stream) = body.as_mut() else { return Poll::Ready(Some(Err(io::ErrorKind::TimedOut.into()))) };
        let polled = Pin::new(&mut **stream).poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(|never| match never {})));
        let is_handed = matches!(polled, Poll::Ready(Some(_)));
        self.0.looks.store(if is_handed { 0 } else { UPSTREAM }, Ordering::Relaxed);
        polled
    }
}

impl<B> Drop for Watched<B> {
    /// The rest of it is forgotten at the next look.
    fn drop(&mut self) {
        let body = lock(&self.0.body).take();
        drop(body);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// Gives what it is told to, and says when it is dropped.
    struct Told(Arc<Mutex<Option<&'static str>>>, Arc<AtomicBool>);

    impl Body for Told {
        type Data = Bytes;
        type Error = Infallible;
        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            lock(&self.0).take().map_or(Poll::Pending, |text| Poll::Ready(Some(Ok(Frame::data(Bytes::from(text))))))
        }
    }

    impl Drop for Told {
        fn drop(&mut self) {
            self.1.store(true, Ordering::Relaxed);
        }
    }

    type Parts = (Arc<Watch>, Watched<Told>, Arc<Mutex<Option<&'static str>>>, Arc<AtomicBool>);

    fn stream() -> Parts {
        let watch = Arc::new(Watch { runs: AtomicBool::new(true), ..Watch::default() });
        let (next, dropped) = (Arc::new(Mutex::new(Some("a"))), Arc::new(AtomicBool::new(false)));
        let body = watch.over(Told(Arc::clone(&next), Arc::clone(&dropped)), Duration::from_secs(1));
        (watch, body, next, dropped)
    }

    fn poll(body: &mut Watched<Told>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn whoever_takes_nothing_more_is_given_up_once_the_time_is_over() {
        for polled_before in [false, true] {
            let (watch, mut body, _, dropped) = stream();
            if polled_before {
                assert!(poll(&mut body).is_ready());
            }
            (0..LOOKS).for_each(|_| watch.look());
            assert!(!dropped.load(Ordering::Relaxed));
            watch.look();
            assert!(dropped.load(Ordering::Relaxed), "with everything that it held");
            let Poll::Ready(Some(Err(error))) = poll(&mut body) else { panic!("the end of it is not clean") };
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            drop(body);
            watch.look();
            assert!(lock(&watch.streams).is_empty());
        }
    }

    #[test]
    fn whoever_comes_back_in_time_and_whoever_waits_for_the_upstream_stays() {
        let (watch, mut body, next, dropped) = stream();
        for _ in 0..3 {
            (0..LOOKS).for_each(|_| watch.look());
            *lock(&next) = Some("b");
            assert!(poll(&mut body).is_ready());
        }
        assert!(poll(&mut body).is_pending());
        (0..10 * LOOKS).for_each(|_| watch.look());
        *lock(&next) = Some("c");
        assert!(poll(&mut body).is_ready() && !dropped.load(Ordering::Relaxed));
        drop(body);
        assert!(dropped.load(Ordering::Relaxed), "at once, not at the next look");
    }
}
