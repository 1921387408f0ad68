//! How long a sound is, by its own bytes: of WAV, MP3, AAC, FLAC, Ogg and MP4. Only headers are read, and of formats without one every frame's. What cannot be
//! read has no duration; nothing here trusts a byte. Formats: RFC 9639 (FLAC), RFC 3533 and 7845 (Ogg, Opus), ISO/IEC 11172-3 (MP3), 13818-7 (ADTS), 14496-12 (MP4).

use super::sniff::Encoded;
use std::borrow::Cow;

/// Bytes that can be looked into.
pub(super) trait Source {
    /// How many there are.
    fn len(&self) -> usize;
    /// Exactly `count` bytes from `at`; none when there are fewer.
    fn read(&self, at: usize, count: usize) -> Option<Cow<'_, [u8]>>;

    /// As many bytes from `at` as an array has.
    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.read(at, N)?.as_ref().try_into().ok()
    }
}

impl Source for &[u8] {
    fn len(&self) -> usize {
        <[u8]>::len(self)
    }
    fn read(&self, at: usize, count: usize) -> Option<Cow<'_, [u8]>> {
        self.get(at..at.checked_add(count)?).map(Cow::Borrowed)
    }
}

impl Source for Encoded<'_> {
    fn len(&self) -> usize {
        Encoded::len(self)
    }
    fn read(&self, at: usize, count: usize) -> Option<Cow<'_, [u8]>> {
        self.decoded(at, count).map(Cow::Owned)
    }
}

/// How long a sound is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Duration {
    pub(super) ms: u64,
    /// It was measured, and not only told by a header that whoever plays the sound can do without.
    pub(super) is_measured: bool,
}

/// What a second of sound has in bytes where nothing tells: poorly compressed speech, which is long for its bytes.
pub const USUAL_BYTES_PER_SECOND: u64 = 4_000;
/// A second of compressed sound has no more bytes, whatever a header says.
const MOST_COMPRESSED: u64 = 64_000;
/// The same where pictures may be beside the sound, or nothing is compressed.
const MOST_ANYTHING: u64 = 2_500_000;
/// More parts of a container than a sound has.
const MOST_CHUNKS: usize = 256;
/// More frames than are looked at: some two hours. What follows is taken to be as the rest.
const MOST_FRAMES: usize = 300_000;
/// So many bytes in all are looked through for a frame where there should be one.
const MOST_LOST: usize = 64 * 1024;
/// The last page of an Ogg lies within so many bytes.
const OGG_TAIL: usize = 72 * 1024;

/// How many milliseconds a sound takes, when its bytes tell.
pub fn sound_ms(bytes: &[u8]) -> Option<u64> {
    duration(&bytes).map(|duration| duration.ms)
}

/// The same of bytes that are encoded in base64.
pub fn encoded_sound_ms(base64: &[u8]) -> Option<u64> {
    duration(&Encoded(base64)).map(|duration| duration.ms)
}

/// How many bytes are encoded in a text of base64.
pub fn encoded_len(base64: &[u8]) -> u64 {
    Encoded(base64).len() as u64
}

/// How long a sound is, when its bytes tell.
pub(super) fn duration(source: &impl Source) -> Option<Duration> {
    let head: [u8; 12] = source.array(0)?;
    match head {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E'] => wav(source).map(|ms| Duration { ms, is_measured: true }),
        [b'f', b'L', b'a', b'C', ..] => told(source, flac(source)?, MOST_ANYTHING),
        [b'O', b'g', b'g', b'S', ..] => told(source, ogg(source)?, MOST_COMPRESSED),
        [_, _, _, _, b'f', b't', b'y', b'p', b'M', b'4', b'A' | b'B', _] => told(source, mp4(source)?, MOST_COMPRESSED),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => told(source, mp4(source)?, MOST_ANYTHING),
        _ => frames(source).map(|ms| Duration { ms, is_measured: true }),
    }
}

/// What a header tells, as far as it can be.
#[allow(clippy::unnecessary_wraps)] // as the other ways to a duration
fn told(source: &impl Source, ms: u64, most_bytes: u64) -> Option<Duration> {
    let least = (source.len() as u64).saturating_mul(1000) / most_bytes;
    Some(Duration { ms: ms.max(least), is_measured: false })
}

fn ratio_ms(units: u64, per_second: u64) -> Option<u64> {
    (per_second > 0).then(|| u64::try_from((u128::from(units) * 1000).div_ceil(u128::from(per_second))).unwrap_or(u64::MAX))
}

/// Chunk by chunk to the samples: their number by the rate at which they are played.
fn wav(source: &impl Source) -> Option<u64> {
    let (mut at, mut rate) = (12usize, None);
    for _ in 0..MOST_CHUNKS {
        let [a, b, c, d, size @ ..] = source.array::<8>(at)?;
        let size = u32::from_le_bytes(size) as usize;
        match &[a, b, c, d] {
            b"fmt " => {
                let [_, _, _, _, s0, s1, s2, s3, r0, r1, r2, r3, align @ ..] = source.array::<14>(at + 8)?;
                let samples = u64::from(u32::from_le_bytes([s0, s1, s2, s3]));
                let (align, told) = (u64::from(u16::from_le_bytes(align)), u64::from(u32::from_le_bytes([r0, r1, r2, r3])));
                // Compressed samples come in blocks: then the header's own rate is all there is.
                rate = Some(if align == 0 || told < samples.saturating_mul(align) { told } else { samples.saturating_mul(align) }.min(MOST_ANYTHING));
            }
            b"data" => return ratio_ms(size.min(source.len().saturating_sub(at + 8)) as u64, rate?),
            _ => {}
        }
        at = at.checked_add(8)?.checked_add(size)?.checked_add(size % 2)?;
    }
    None
}

/// STREAMINFO: 20 bits of rate, 3 of channels, 5 of depth, 36 of samples.
fn flac(source: &impl Source) -> Option<u64> {
    let bits = u64::from_be_bytes(source.array(18)?);
    let samples = bits & 0xF_FFFF_FFFF;
    (samples > 0).then(|| ratio_ms(samples, bits >> 44)).flatten()
}

/// The position on the last page, in samples of the rate that the first page names.
fn ogg(source: &impl Source) -> Option<u64> {
    let first = source.read(28, 28)?;
    let (rate, skipped) = match *first {
        [b'O', b'p', b'u', b's', b'H', b'e', b'a', b'd', _, _, a, b, ..] => (48_000, u64::from(u16::from_le_bytes([a, b]))),
        [1, b'v', b'o', b'r', b'b', b'i', b's', _, _, _, _, _, a, b, c, d, ..] => (u64::from(u32::from_le_bytes([a, b, c, d])), 0),
        _ => return None,
    };
    let from = source.len().saturating_sub(OGG_TAIL);
    let tail = source.read(from, source.len() - from)?;
    let position = memchr::memmem::rfind_iter(&tail, b"OggS").find_map(|at| {
        let position = u64::from_le_bytes(tail.get(at + 6..at + 14)?.try_into().ok()?);
        // A page on which no packet ends has none.
        (position != u64::MAX).then_some(position)
    })?;
    ratio_ms(position.saturating_sub(skipped), rate).filter(|ms| *ms > 0)
}

/// The movie's header, inside `moov`.
fn mp4(source: &impl Source) -> Option<u64> {
    let (moov, end) = atom(source, 0, source.len(), *b"moov")?;
    let (header, _) = atom(source, moov, end, *b"mvhd")?;
    let (scale, units) = match source.array::<1>(header)? {
        [0] => {
            let [a, b, c, d, units @ ..] = source.array::<8>(header + 12)?;
            (u32::from_be_bytes([a, b, c, d]), u64::from(u32::from_be_bytes(units)))
        }
        _ => {
            let [a, b, c, d, units @ ..] = source.array::<12>(header + 20)?;
            (u32::from_be_bytes([a, b, c, d]), u64::from_be_bytes(units))
        }
    };
    // Unknown is written as all ones, and a film in fragments has none.
    (units > 0 && units != u64::MAX && units != u64::from(u32::MAX)).then(|| ratio_ms(units, scale.into())).flatten()
}

/// Where the content of an atom begins and ends.
fn atom(source: &impl Source, mut at: usize, end: usize, wanted: [u8; 4]) -> Option<(usize, usize)> {
    for _ in 0..MOST_CHUNKS {
        let [s0, s1, s2, s3, kind @ ..] = source.array::<8>(at)?;
        let (head, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
            0 => (8, end.saturating_sub(at)),
            1 => (16, usize::try_from(u64::from_be_bytes(source.array(at + 8)?)).ok()?),
            size => (8, size as usize),
        };
        let next = at.checked_add(size).filter(|next| size >= head && *next <= end)?;
        if kind == wanted {
            return Some((at + head, next));
        }
        at = next;
    }
    None
}

/// A frame of MP3 or AAC.
#[derive(Clone, Copy)]
struct Frame {
    bytes: usize,
    samples: u64,
    rate: u64,
}

/// MPEG audio from its first frame to its last.
fn frames(source: &impl Source) -> Option<u64> {
    let (mut at, mut micros, mut lost, mut seen) = (after_tags(source), 0u64, 0usize, 0usize);
    let begin = at;
    while let Some(header) = source.array::<7>(at) {
        match frame(header) {
            Some(frame) if seen < MOST_FRAMES => {
                micros = micros.saturating_add(frame.samples * 1_000_000 / frame.rate);
                at += frame.bytes;
                seen += 1;
            }
            // As long as what was seen of it.
            Some(_) => {
                let (done, left) = (at.saturating_sub(begin).max(1) as u128, source.len().saturating_sub(at) as u128);
                return u64::try_from((u128::from(micros) * (done + left) / done).div_ceil(1000)).ok();
            }
            None if &header[..3] == b"TAG" => break,
            // One that nothing follows was none.
            None if seen == 1 => return None,
            None if lost < MOST_LOST && (seen > 0 || lost < 4096) => {
                at += 1;
                lost += 1;
            }
            None if seen == 0 => return None,
            // Nobody knows what this is: as a sound that tells nothing.
            None => {
                let left = (source.len().saturating_sub(at) as u64).saturating_mul(1_000_000) / USUAL_BYTES_PER_SECOND;
                micros = micros.saturating_add(left);
                break;
            }
        }
    }
    // Two frames are no chance.
    (seen > 1).then(|| micros.div_ceil(1000))
}

/// Behind what ID3 puts in front.
fn after_tags(source: &impl Source) -> usize {
    match source.array::<10>(0) {
        Some([b'I', b'D', b'3', _, _, _, a, b, c, d]) => 10 + [a, b, c, d].iter().fold(0usize, |size, byte| size << 7 | usize::from(byte & 0x7F)),
        _ => 0,
    }
}

fn frame([a, b, c, d, e, f, _]: [u8; 7]) -> Option<Frame> {
    if a != 0xFF || b & 0xE0 != 0xE0 {
        return None;
    }
    let (version, layer) = (b >> 3 & 3, b >> 1 & 3);
    if layer == 0 {
        return adts(b, c, d, e, f);
    }
    const RATES: [u64; 3] = [44_100, 48_000, 32_000];
    const KBITS: [[u64; 14]; 5] = [
        [32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        [32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    let is_first = version == 3;
    let (table, samples) = match (layer, is_first) {
        (3, true) => (0, 384),
        (3, false) => (3, 384),
        (2, true) => (1, 1_152),
        (2, false) => (4, 1_152),
        (_, true) => (2, 1_152),
        (_, false) => (4, 576),
    };
    let kbits = *KBITS[table].get(usize::from(c >> 4).checked_sub(1)?)?;
    let full = *RATES.get(usize::from(c >> 2 & 3))?;
    let rate = match version {
        3 => full,
        2 => full / 2,
        0 => full / 4,
        _ => return None,
    };
    let padding = u64::from(c >> 1 & 1) * if layer == 3 { 4 } else { 1 };
    let bytes = usize::try_from(kbits * 125 * samples / rate + padding).ok()?;
    Some(Frame { bytes: bytes.max(1), samples, rate })
}

fn adts(b: u8, c: u8, d: u8, e: u8, f: u8) -> Option<Frame> {
    const RATES: [u64; 13] = [96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350];
    if b & 0xF0 != 0xF0 {
        return None;
    }
    let rate = *RATES.get(usize::from(c >> 2 & 0xF))?;
    let bytes = usize::from(d & 3) << 11 | usize::from(e) << 3 | usize::from(f >> 5);
    (bytes >= 7).then_some(Frame { bytes, samples: 1_024, rate })
}

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::BASE64;
    use proptest::prelude::*;

    fn ms(bytes: &[u8]) -> Option<u64> {
        let plain = duration(&bytes);
        assert_eq!(plain, duration(&Encoded(BASE64.encode(bytes).as_bytes())), "encoded or not");
        plain.map(|duration| duration.ms)
    }

    fn wav(rate: u32, align: u16, told: u32, sound: usize) -> Vec<u8> {
        let format = [&[1u8, 0, 1, 0][..], &rate.to_le_bytes(), &told.to_le_bytes(), &align.to_le_bytes(), &[16, 0]].concat();
        let mut out = [&b"RIFF\0\0\0\0WAVELIST\x03\0\0\0abc\0fmt \x10\0\0\0"[..], &format, b"data", &(sound as u32).to_le_bytes()].concat();
        out.resize(out.len() + sound, 0);
        out
    }

    /// A frame of MP3 at 44.1 kHz: 26.12 ms.
    fn mp3(kbits_index: u8, bytes: usize) -> Vec<u8> {
        let mut out = vec![0xFF, 0xFB, kbits_index << 4, 0];
        out.resize(bytes, 0);
        out
    }

    #[test]
    fn each_format_tells_its_duration() {
        assert_eq!(ms(&wav(16_000, 2, 32_000, 64_000)), Some(2_000));
        assert_eq!(ms(&wav(16_000, 2, 4_000_000_000, 64_000)), Some(2_000), "the samples count, whatever rate is told");
        assert_eq!(ms(&[b"ID3\x04\0\0\0\0\x01\0".as_slice(), &[0; 128], &mp3(9, 417).repeat(100)].concat()), Some(2_613));
        assert_eq!(ms(&[mp3(14, 1_044), mp3(1, 104).repeat(99)].concat()), Some(2_613), "every frame counts, whatever the first is");
        // Half of it is nothing that is known.
        assert_eq!(ms(&[mp3(9, 417).repeat(100), vec![7; 65_536 + 8_000]].concat()).map(|ms| ms / 10), Some(461));
        let mut adts = vec![0xFF, 0xF1, 3 << 2, 0, (200u16 >> 3) as u8, ((200u16 & 7) << 5) as u8, 0];
        adts.resize(200, 0);
        assert_eq!(ms(&adts.repeat(50)), Some(1_067));
        let flac = [&b"fLaC\0\0\0\x22"[..], &[0; 10], &((48_000u64 << 44) | (1 << 41) | (15 << 36) | 96_000).to_be_bytes(), &[0; 64]].concat();
        assert_eq!(ms(&flac), Some(2_000));
        let page = |position: u64, body: &[u8]| [&b"OggS\0\0"[..], &position.to_le_bytes(), &[0; 14], body].concat();
        let opus = [page(0, b"OpusHead\x01\x01\x38\x01aaaaaaaaaaaaaaaa"), page(48_312, &[0; 5_000]), page(u64::MAX, &[0; 100])].concat();
        assert_eq!(ms(&opus), Some(1_000));
        let vorbis = [page(0, &[&b"\x01vorbis\0\0\0\0\x02"[..], &44_100u32.to_le_bytes(), &[0; 20]].concat()), page(88_200, &[0; 5_000])].concat();
        assert_eq!(ms(&vorbis), Some(2_000));
        let header = [&b"\0\0\0\0\0\0\0\0\0\0\0\0"[..], &1_000u32.to_be_bytes(), &3_500u32.to_be_bytes(), &[0; 80]].concat();
        let boxed = |kind: &[u8; 4], body: &[u8]| [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat();
        let mp4 = [boxed(b"ftyp", b"M4A \0\0\0\0"), boxed(b"mdat", &[1; 4_000]), boxed(b"moov", &boxed(b"mvhd", &header))].concat();
        assert_eq!(ms(&mp4), Some(3_500));
    }

    #[test]
    fn a_header_cannot_make_a_long_sound_short() {
        let page = |position: u64, body: &[u8]| [&b"OggS\0\0"[..], &position.to_le_bytes(), &[0; 14], body].concat();
        let opus = [page(0, b"OpusHead\x01\x01\0\0aaaaaaaaaaaaaaaa"), page(48, &[0; 640_000])].concat();
        assert_eq!(ms(&[opus, page(48, b"")].concat()).map(|ms| ms / 1000), Some(10));
    }

    #[test]
    fn what_tells_nothing_has_no_duration() {
        for bytes in
            [&b""[..], b"ID3", b"RIFF\0\0\0\0WAVE", b"fLaC", b"OggS", b"\0\0\0\x08ftypM4A ", &[7; 9_000], &[0xFF; 9_000], b"\xFF\xFB\x90\0aaaaaaaaaaaa"]
        {
            assert_eq!(ms(bytes), None, "{bytes:.20?}");
        }
    }

    proptest! {
        #[test]
        fn hostile_bytes_are_survived(
            head in prop::sample::select(vec![
                &b"RIFF\0\0\0\0WAVEfmt "[..], b"fLaC", b"OggS", b"\0\0\0\x0cftypM4A ", b"\0\0\0\x0cftypM4A \xff\xff\xff\xffmoov", b"\xFF\xFB\x90\0", b"\xFF\xF1", b"ID3",
            ]),
            bytes in prop::collection::vec(any::<u8>(), 0..2_000),
            times in 1usize..20,
        ) {
            let all = [head.to_vec(), bytes].concat().repeat(times);
            let _ = duration(&all.as_slice());
            let _ = duration(&Encoded(&all));
        }
    }
}
