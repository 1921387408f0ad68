//! A simulated Stripe: real HTTP on a loopback port, in the forms of Stripe's API, with pages on which a browser pays by Stripe's test cards.
//!
//! It keeps customers, checkouts, payments, subscriptions, invoices, refunds, disputes and the account's movements as objects of the shape that Stripe
//! documents, honours idempotency keys, refuses what Stripe refuses, and tells the shop what happened by messages that are signed as Stripe signs. Messages can
//! be held, repeated, shuffled and lost ([`Post`]), and requests can fail before or after they have done their work ([`Fault`]). Everything that is random or
//! timed comes from the injected [`Kit`]; time passes for it whenever it is asked something, or at [`Stripe::pass_time`].
//!
//! It uses nothing of the shop but the kernel, and the shop knows nothing of it.
//!
//! # Paths
//!
//! | | |
//! |---|---|
//! | `/v1/...` | customers, products, prices, payment methods, checkout sessions, payment intents, charges, refunds, disputes, balance transactions, subscriptions, invoices, portal sessions, events |
//! | `/c/pay/{session}` | the checkout page: a card number to pay by, a bank transfer, a way back |
//! | `/bank/{payment}` | the bank that asks for a confirmation |
//! | `/p/session/{portal}`, `/i/{invoice}` | the billing portal; an invoice that can be paid |
//! | `/control` | a page with the messages and payments and what may happen to them; the same as JSON below it ([`control`]) |
//!
//! # What it leaves out
//!
//! Taxes, discounts, several lines, other currencies of settlement. A subscription whose renewal failed writes no further invoice before it is paid or given up
//! (3, 5 and 7 days after each attempt). An invoice is collected at once and not an hour later.

mod api;
mod billing;
mod card;
mod catalog;
mod checkout;
mod control;
mod form;
mod invoices;
mod pages;
mod payments;
mod post;
mod site;
mod time;
mod world;

#[cfg(test)]
mod tests;

pub use card::Card;
pub use post::{Endpoint, Message, Post, signature};

use super::upstream::server;
use crate::kernel::{Clock, Kit, Random};
use api::{Refusal, Replays};
use serde_json::Value;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use world::World;

/// How to start a [`Stripe`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; loopback only.
    pub listen: SocketAddr,
    /// The key that the shop must send.
    pub secret_key: String,
    /// What time it is.
    pub clock: Clock,
    /// Where ids come from.
    pub random: Random,
}

impl Options {
    /// A free port, and the clock and randomness of a kit.
    pub fn new(kit: &Kit, secret_key: &str) -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { listen, secret_key: secret_key.to_owned(), clock: kit.clock.clone(), random: kit.random.clone() }
    }
}

/// What happens to the next request to the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// None: it is answered as it should.
    Pass,
    /// It is answered with this status, and nothing is done.
    Status(u16),
    /// The connection closes, and nothing is done.
    HangUp,
    /// It is done, and the answer is lost.
    LoseAnswer,
}

/// A request that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `GET`, `POST` or `DELETE`.
    pub method: String,
    /// What follows `/v1/`.
    pub path: String,
    /// The form or the query.
    pub form: String,
    /// The key by which it is done once.
    pub idempotency_key: Option<String>,
    /// The status of the answer; 0 when it was lost.
    pub status: u16,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It would be reachable from elsewhere, and its controls serve anybody.
    #[error("the simulated Stripe listens on loopback only, not on {0}")]
    NotLoopback(SocketAddr),
    /// The port could not be opened.
    #[error("the simulated Stripe cannot listen: {0}")]
    Listen(#[from] std::io::Error),
    /// The client that delivers messages could not be made.
    #[error("the simulated Stripe cannot deliver messages: {0}")]
    Client(#[from] reqwest::Error),
}

/// Something that cannot be done with an object as it stands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Impossible(String);

impl From<Refusal> for Impossible {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.error["message"].as_str().unwrap_or("refused").to_owned())
    }
}

/// How many requests are remembered.
const REMEMBERED: usize = 10_000;
/// How often a message is tried, as long as it is not taken.
const TRIES: usize = 6;
/// The pause after the first failed try; it doubles.
const PAUSE: Duration = Duration::from_millis(50);

/// What all requests share.
struct State {
    world: World,
    replays: Replays,
    post: Post,
    endpoint: Option<Endpoint>,
    faults: VecDeque<Fault>,
    asked: VecDeque<Asked>,
}

struct Shared {
    state: Mutex<State>,
    secret_key: String,
    client: reqwest::Client,
    /// A message waits, or the post has changed.
    waiting: Notify,
    /// A message was delivered, or given up.
    delivered: Notify,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Lets time pass, does something, and sends what was written meanwhile.
    fn act<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        time::pass(&mut state.world);
        let done = act(&mut state);
        time::pass(&mut state.world);
        let State { world, post, .. } = &mut *state;
        world.messages.iter_mut().filter(|message| message.fresh).for_each(|message| message.dispatch(post));
        drop(state);
        self.waiting.notify_one();
        done
    }

    /// The next message that leaves by itself: the first, or any.
    fn next(&self) -> Option<String> {
        let state = self.lock();
        if state.post.held || state.endpoint.is_none() {
            return None;
        }
        let due: Vec<&Message> = state.world.messages.iter().filter(|message| message.due > 0).collect();
        let pick = if state.post.shuffled && !due.is_empty() { state.world.pick(due.len()) } else { 0 };
        due.get(pick).map(|message| message.id.clone())
    }

    /// Delivers a message once. The status of the answer; 0 for none.
    async fn deliver(&self, id: &str) -> u16 {
        let Some((request, signed)) = self.request(id) else { return 0 };
        let sent = request.header("stripe-signature", signed).send().await;
        let status = sent.map_or(0, |response| response.status().as_u16());
        if let Some(message) = self.lock().world.messages.iter_mut().find(|message| message.id == id) {
            message.answers.push(status);
        }
        status
    }

    fn request(&self, id: &str) -> Option<(reqwest::RequestBuilder, String)> {
        let state = self.lock();
        let (endpoint, message) = (state.endpoint.as_ref()?, state.world.messages.iter().find(|message| message.id == id)?);
        let signed = signature(&endpoint.secret, state.world.clock(), &message.body);
        let request = self.client.post(&endpoint.url).header("content-type", "application/json; charset=utf-8").body(message.body.clone());
        Some((request, signed))
    }

    /// Delivers what is due, and tries again what was not taken, until the end of the world.
    async fn carry(self: Arc<Self>, closing: CancellationToken) {
        loop {
            tokio::select! {
                () = closing.cancelled() => return,
                () = self.waiting.notified() => {}
            }
            while let Some(id) = self.next() {
                tokio::select! {
                    () = closing.cancelled() => return,
                    () = self.carry_one(&id) => {}
                }
            }
            self.delivered.notify_waiters();
        }
    }

    async fn carry_one(&self, id: &str) {
        for attempt in 0..TRIES {
            if (200..300).contains(&self.deliver(id).await) {
                break;
            }
            tokio::time::sleep(PAUSE * (1 << attempt)).await;
            if self.lock().post.held {
                return; // it waits with the others
            }
        }
        if let Some(message) = self.lock().world.messages.iter_mut().find(|message| message.id == id) {
            message.due = message.due.saturating_sub(1);
        }
    }
}

/// A running simulated Stripe. Dropping it closes the port.
pub struct Stripe {
    address: SocketAddr,
    shared: Arc<Shared>,
    closing: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Stripe {
    /// Opens the port and begins to serve.
    ///
    /// # Errors
    /// When the address is not loopback or cannot be opened.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        if !options.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(options.listen));
        }
        // Everything that speaks TLS uses the same implementation; a second call changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).redirect(reqwest::redirect::Policy::none()).build()?;
        let listener = tokio::net::TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let world = World::new(options.clock, options.random, format!("http://{address}"));
        let state = State { world, replays: Replays::default(), post: Post::default(), endpoint: None, faults: VecDeque::new(), asked: VecDeque::new() };
        let shared = Arc::new(Shared { state: Mutex::new(state), secret_key: options.secret_key, client, waiting: Notify::new(), delivered: Notify::new() });
        let closing = CancellationToken::new();
        let tasks =
            vec![tokio::spawn(server::run(listener, site::router(shared.clone()), closing.clone())), tokio::spawn(shared.clone().carry(closing.clone()))];
        Ok(Self { address, shared, closing, tasks })
    }

    /// `http://127.0.0.1:port`: what the shop's `STRIPE_API_BASE` is set to.
    pub fn base_url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where messages go from now on, and what they are signed with.
    pub fn send_to(&self, url: &str, secret: &str) {
        self.shared.lock().endpoint = Some(Endpoint { url: url.to_owned(), secret: secret.to_owned() });
        self.shared.waiting.notify_one();
    }

    /// How messages travel from now on. Those that are held leave as soon as nothing holds them.
    pub fn post(&self, post: Post) {
        self.shared.lock().post = post;
        self.shared.waiting.notify_one();
    }

    /// What happens to the next requests, one after the other.
    pub fn fail_next(&self, faults: &[Fault]) {
        self.shared.lock().faults.extend(faults);
    }

    /// Every message so far, the oldest first.
    pub fn messages(&self) -> Vec<Message> {
        self.shared.act(|state| state.world.messages.clone())
    }

    /// The messages that the receiver has not taken, the oldest first.
    pub fn untaken(&self) -> Vec<Message> {
        self.messages().into_iter().filter(|message| !message.is_taken()).collect()
    }

    /// Delivers one message now, once, whatever became of it before. The status of the answer; 0 when there was none.
    pub async fn deliver(&self, id: &str) -> u16 {
        self.shared.deliver(id).await
    }

    /// Waits until every message that leaves by itself was taken or given up; not for those that are held or have nowhere to go.
    pub async fn settled(&self) {
        loop {
            let delivered = self.shared.delivered.notified();
            if self.shared.next().is_none() {
                return;
            }
            delivered.await;
        }
    }

    /// A body as it would be sent now, and the header that signs it: for tests that play the post themselves.
    pub fn sign(&self, body: &str) -> String {
        let state = self.shared.lock();
        let secret = state.endpoint.as_ref().map(|endpoint| endpoint.secret.clone()).unwrap_or_default();
        signature(&secret, state.world.clock(), body)
    }

    /// The requests that were made to the API, the oldest first.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.lock().asked.iter().cloned().collect()
    }

    /// An object as the API shows it; null when there is none.
    pub fn object(&self, id: &str) -> Value {
        self.shared.act(|state| state.world.show(id))
    }

    /// Pays a checkout, as a customer does on its page. Where the customer is sent: back to the shop, or to the bank's page.
    ///
    /// # Errors
    /// The sentence of a decline, or why it cannot be paid.
    pub fn pay(&self, checkout: &str, card: Card) -> Result<String, Impossible> {
        match self.shared.act(|state| checkout::pay(&mut state.world, checkout, card))? {
            checkout::Step::Done(url) | checkout::Step::Confirm(url) => Ok(url),
            checkout::Step::No(sentence) => Err(Impossible(sentence)),
        }
    }

    /// Answers the bank's question about a payment, as a customer does on its page. Where the customer is sent.
    ///
    /// # Errors
    /// When nothing is asked.
    pub fn confirm(&self, payment: &str, yes: bool) -> Result<String, Impossible> {
        Ok(self.shared.act(|state| payments::answered(&mut state.world, payment, yes))?)
    }

    /// The money of a bank transfer comes, or does not.
    ///
    /// # Errors
    /// When the checkout waits for none.
    pub fn settle(&self, checkout: &str, comes: bool) -> Result<(), Impossible> {
        Ok(self.shared.act(|state| control::settle(&mut state.world, checkout, comes))?)
    }

    /// The customer's bank takes a payment back. The id of the dispute.
    ///
    /// # Errors
    /// When there is nothing to dispute.
    pub fn dispute(&self, payment: &str) -> Result<String, Impossible> {
        Ok(self.shared.act(|state| payments::dispute(&mut state.world, payment, "fraudulent"))?)
    }

    /// The bank decides a dispute.
    ///
    /// # Errors
    /// When it is decided already.
    pub fn close_dispute(&self, dispute: &str, won: bool) -> Result<(), Impossible> {
        self.shared.act(|state| payments::close_dispute(&mut state.world, dispute, won))?;
        Ok(())
    }

    /// Somebody pays back a payment, or so many minor units of it, on Stripe's own pages.
    ///
    /// # Errors
    /// When so much is not there.
    pub fn refund_by_hand(&self, payment: &str, minor: Option<i64>) -> Result<(), Impossible> {
        self.shared.act(|state| control::refund(&mut state.world, payment, minor))?;
        Ok(())
    }

    /// Every saved card of a customer behaves like this from now on.
    pub fn card_becomes(&self, customer: &str, card: Card) {
        self.shared.act(|state| control::card_becomes(&mut state.world, customer, card));
    }

    /// Does what is due by the clock: the test has moved its hands.
    pub fn pass_time(&self) {
        self.shared.act(|_| ());
    }

    /// Moves the time of this Stripe alone, so that periods end while the shop's clock stands still.
    pub fn hurry(&self, seconds: i64) {
        self.shared.act(|state| state.world.hurry(seconds));
    }

    /// Closes the port, breaks off what is under way and waits until no connection is left.
    pub async fn stop(mut self) {
        self.closing.cancel();
        for task in std::mem::take(&mut self.tasks) {
            let _ = task.await; // it can only fail by a panic that was already printed
        }
    }
}

impl Drop for Stripe {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

impl std::fmt::Debug for Stripe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stripe({})", self.address)
    }
}
