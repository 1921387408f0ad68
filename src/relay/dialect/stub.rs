#![allow(missing_docs, unused_variables)]
use super::canonical::*;
use super::{Closing, Echo, Target};
use bytes::BytesMut;
pub fn parse_request(body: &[u8]) -> Result<Request, Unfit> {
    Err(Unfit::new("", "stub"))
}
pub fn render_request(request: &Request, target: &Target<'_>) -> Result<Vec<u8>, Unfit> {
    Err(Unfit::new("", "stub"))
}
pub fn parse_answer(body: &[u8]) -> Result<Answer, Broken> {
    Err(Broken::AbsurdUsage)
}
pub fn render_answer(answer: &Answer, echo: &Echo, closing: &Closing<'_>) -> Vec<u8> {
    Vec::new()
}
pub struct StreamParser;
impl StreamParser {
    pub fn new() -> Self {
        Self
    }
    pub fn push(&mut self, data: &str, out: &mut Vec<Event>) -> Result<(), Broken> {
        Ok(())
    }
    pub fn is_done(&self) -> bool {
        false
    }
    pub fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Broken> {
        Ok(())
    }
}
pub struct StreamRenderer;
impl StreamRenderer {
    pub fn new(echo: Echo) -> Self {
        Self
    }
    pub fn array(echo: Echo) -> Self {
        Self
    }
    pub fn push(&mut self, event: Event, out: &mut BytesMut) {}
    pub fn finish(&mut self, closing: &Closing<'_>, out: &mut BytesMut) {}
    pub fn fail(&mut self, kind: &str, code: &str, message: &str, out: &mut BytesMut) {}
}
