//! Small files of the real formats: a picture, and sound.

use super::words::Dice;

/// Samples a second of the sound.
const RATE: u32 = 24_000;
/// The bytes of a second of it.
const BYTES_A_SECOND: u32 = RATE * 2;

/// A PNG of 8 by 8 pixels in a colour that the prompt and the number decide.
pub(super) fn png(prompt: &str, number: u64) -> Vec<u8> {
    let colour = Dice::of(prompt, number).roll().to_be_bytes();
    let row: Vec<u8> = [0].into_iter().chain(std::iter::repeat_n(&colour[..3], 8).flatten().copied()).collect();
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut out, b"IHDR", &[0, 0, 0, 8, 0, 0, 0, 8, 8, 2, 0, 0, 0]);
    chunk(&mut out, b"IDAT", &stored(&row.repeat(8)));
    chunk(&mut out, b"IEND", b"");
    out
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let body = [&kind[..], data].concat();
    out.extend(&body);
    out.extend(crc32(&body).to_be_bytes());
}

/// A zlib stream of one block that is not compressed.
fn stored(data: &[u8]) -> Vec<u8> {
    let length = data.len() as u16;
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), byte| ((a + u32::from(*byte)) % 65_521, (a + u32::from(*byte) + b) % 65_521));
    [&[0x78, 0x01, 0x01][..], &length.to_le_bytes(), &(!length).to_le_bytes(), data, &(b << 16 | a).to_be_bytes()].concat()
}

fn crc32(data: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !data.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

/// A WAV file: one channel, 16 bits, a quiet tone of that length.
pub(super) fn wav(milliseconds: u32) -> Vec<u8> {
    let data = pcm(milliseconds);
    let length = data.len() as u32;
    let mut out = [&b"RIFF"[..], &(36 + length).to_le_bytes(), b"WAVEfmt ", &16u32.to_le_bytes(), &[1, 0, 1, 0]].concat();
    out.extend([RATE, BYTES_A_SECOND].map(u32::to_le_bytes).concat());
    out.extend([2, 0, 16, 0]);
    out.extend([&b"data"[..], &length.to_le_bytes(), &data].concat());
    out
}

/// The samples alone: a triangle wave of 300 Hz.
pub(super) fn pcm(milliseconds: u32) -> Vec<u8> {
    let sample = |at: u32| ((at % 80).abs_diff(40) as i16 - 20) * 100;
    (0..RATE / 1000 * milliseconds).flat_map(|at| sample(at).to_le_bytes()).collect()
}

/// Silent MPEG-1 layer III frames (128 kbit/s, 44.1 kHz, two channels) of about that length.
pub(super) fn mp3(milliseconds: u32) -> Vec<u8> {
    let mut frame = vec![0u8; 417];
    frame[..4].copy_from_slice(&[0xff, 0xfb, 0x90, 0x00]);
    frame.repeat(milliseconds.div_ceil(26).max(1) as usize)
}

/// How long a sound is, in whole seconds from one: by the header of a WAV file, else at 16,000 bytes a second.
pub(super) fn seconds(file: &[u8]) -> u64 {
    let rate = file.get(28..32).filter(|_| file.starts_with(b"RIFF")).and_then(|bytes| Some(u32::from_le_bytes(bytes.try_into().ok()?))).unwrap_or(0);
    let rate = if rate == 0 { 16_000 } else { u64::from(rate) };
    (file.len() as u64).div_ceil(rate).max(1)
}
