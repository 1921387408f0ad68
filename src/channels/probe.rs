//! Tries out what is out of use, so that it comes back before a customer has to find out.
//!
//! A probe is the smallest chat that the upstream's dialect knows, sent with the key and for the model in question. It is charged to nobody. Each node
//! probes what it has itself taken out of use.

use super::health::Wanted;
use super::{Channel, Dialect, Permit, Snapshot, Target, Verdict, pause};
use crate::kernel::Id;
use futures_util::stream::{self, FuturesUnordered, StreamExt};
use reqwest::Response;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// How long a probe may take in all.
const PATIENCE: Duration = Duration::from_secs(30);
/// The largest answer to a probe that is read.
const MAX_ANSWER: usize = 256 * 1024;
/// How many probes are sent at the same time.
const AT_ONCE: usize = 8;

/// Probes the channels of a snapshot.
#[derive(Clone)]
pub struct Prober {
    channels: Arc<Snapshot>,
}

impl Prober {
    /// For these channels.
    pub fn new(channels: Arc<Snapshot>) -> Self {
        Self { channels }
    }

    /// Probes whatever is due, looking for it so often. Never returns.
    pub async fn run(&self, every: Duration) {
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut running = FuturesUnordered::new();
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                // One that takes long keeps no other from being sent.
                Some(_) = running.next(), if !running.is_empty() => {}
            }
            let room = AT_ONCE.saturating_sub(running.len());
            running.extend(self.due().into_iter().filter_map(|(id, wanted)| self.begin(id, &wanted)).take(room));
        }
    }

    /// Sends every probe that is due by the clock and waits for the answers. Returns how many there were.
    pub async fn probe_due(&self) -> usize {
        let each = |(id, wanted): (Id, Wanted)| async move {
            match self.begin(id, &wanted) {
                Some(probe) => {
                    probe.await;
                    1
                }
                None => 0,
            }
        };
        stream::iter(self.due()).map(each).buffer_unordered(AT_ONCE).fold(0, async |sum, sent| sum + sent).await
    }

    fn due(&self) -> Vec<(Id, Wanted)> {
        self.channels.all().iter().flat_map(|channel| channel.due_probes().into_iter().map(|wanted| (channel.id, wanted))).collect()
    }

    /// Sends one, unless the channel has been switched off or somebody else tries it by now.
    fn begin(&self, id: Id, wanted: &Wanted) -> Option<impl Future<Output = ()> + Send + use<>> {
        let channel = self.channels.find(id)?;
        let permit = channel.begin_probe(wanted)?;
        Some(async move { probe(&channel, permit).await })
    }
}

async fn probe(channel: &Channel, mut permit: Permit) {
    let (verdict, retry_after) = tokio::time::timeout(PATIENCE, ask(channel, &permit)).await.unwrap_or((Verdict::Timeout, None));
    tracing::info!(channel = %channel.name, model = %permit.model, key = permit.key, ?verdict, "probed");
    permit.report(verdict, retry_after);
}

async fn ask(channel: &Channel, permit: &Permit) -> (Verdict, Option<Duration>) {
    let dialect = channel.dialect_for(Dialect::Chat);
    let Some(key) = channel.keys.get(permit.key) else { return (Verdict::Broken, None) };
    let Some(endpoint) = channel.endpoint(key, Target::Chat(dialect), &permit.model, false) else { return (Verdict::Broken, None) };
    let body = body(dialect, &permit.model, &channel.options.body_overrides);
    let request = channel.client().post(endpoint.url.into_owned()).headers(endpoint.headers.clone());
    let request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).header(ACCEPT, HeaderValue::from_static("application/json"));
    match request.body(body).send().await {
        Ok(response) if response.status().is_success() => (if is_answer(response).await { Verdict::Ok } else { Verdict::Broken }, None),
        Ok(response) => {
            let (verdict, pause) = (Verdict::Status(response.status().as_u16()), pause::in_headers(response.headers()));
            if pause.is_some() || verdict.is_the_callers() { (verdict, pause) } else { (verdict, pause::in_body(&read(response).await.unwrap_or_default())) }
        }
        Err(error) if error.is_connect() => (Verdict::Connect, None),
        Err(error) if error.is_timeout() => (Verdict::Timeout, None),
        Err(_) => (Verdict::Broken, None),
    }
}

/// Some servers send an error with the status 200, or a page.
async fn is_answer(response: Response) -> bool {
    let Some(whole) = read(response).await else { return false };
    serde_json::from_slice::<Map<String, Value>>(&whole).is_ok_and(|answer| answer.get("error").is_none_or(Value::is_null))
}

/// The body, or none when it is too long.
async fn read(mut response: Response) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        if whole.len() + piece.len() > MAX_ANSWER {
            return None;
        }
        whole.extend_from_slice(&piece);
    }
    Some(whole)
}

fn body(dialect: Dialect, model: &str, overrides: &Map<String, Value>) -> String {
    let mut body = match dialect {
        Dialect::Chat => json!({"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}),
        // The least that the API takes.
        Dialect::Responses => json!({"model": model, "input": "Hi", "max_output_tokens": 16}),
        Dialect::Messages => json!({"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}),
        Dialect::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], "generationConfig": {"maxOutputTokens": 1}}),
    };
    for (field, value) in overrides {
        if let Some(fields) = body.as_object_mut() {
            match value {
                Value::Null => _ = fields.remove(field),
                value => _ = fields.insert(field.clone(), value.clone()),
            }
        }
    }
    body.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_is_small_and_has_the_channels_overrides() {
        let overrides: Map<String, Value> = serde_json::from_str(r#"{"store": false, "max_tokens": null}"#).unwrap();
        let sent: Value = serde_json::from_str(&body(Dialect::Chat, "m", &overrides)).unwrap();
        assert_eq!(sent, json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}], "store": false}));
        for dialect in Dialect::ALL {
            assert!(body(dialect, "m", &Map::new()).len() < 150);
        }
    }
}
