//! What encoded bytes are, by their first few: the dimensions of a picture. Of the base64 text only the places that are looked at are decoded,
//! however large it is.

use data_encoding::{BASE64, BASE64_NOPAD};

/// Bytes that are encoded in base64, decoded where they are looked at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Encoded<'a>(pub(super) &'a [u8]);

/// A JPEG with more segments before its dimensions than this is not looked through.
const MOST_SEGMENTS: usize = 64;

impl Encoded<'_> {
    /// How many bytes it is decoded.
    pub(super) fn len(&self) -> usize {
        let padding = self.0.iter().rev().take(2).filter(|&&byte| byte == b'=').count();
        (self.0.len() * 3 / 4).saturating_sub(padding)
    }

    /// `count` bytes from `at`.
    pub(super) fn decoded(&self, at: usize, count: usize) -> Option<Vec<u8>> {
        let (from, to) = (at / 3 * 4, at.checked_add(count)?.div_ceil(3).checked_mul(4)?);
        let text = self.0.get(from..to.min(self.0.len()))?;
        let mut decoded = BASE64.decode(text).or_else(|_| BASE64_NOPAD.decode(text)).ok()?;
        decoded.drain(..(at % 3).min(decoded.len()));
        decoded.truncate(count);
        (decoded.len() == count).then_some(decoded)
    }

    /// `N` bytes from `at`.
    fn bytes<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.decoded(at, N)?.try_into().ok()
    }

    /// Width and height of a PNG, JPEG, GIF or WebP.
    pub(super) fn dimensions(&self) -> Option<(u32, u32)> {
        let head: [u8; 12] = self.bytes(0)?;
        match head {
            [0x89, b'P', b'N', b'G', ..] => {
                let [w @ .., a, b, c, d] = self.bytes::<8>(16)?;
                Some((u32::from_be_bytes(w), u32::from_be_bytes([a, b, c, d])))
            }
            [b'G', b'I', b'F', b'8', _, _, a, b, c, d, ..] => Some((u16::from_le_bytes([a, b]).into(), u16::from_le_bytes([c, d]).into())),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => self.webp(),
            [0xFF, 0xD8, ..] => self.jpeg(),
            _ => None,
        }
    }

    /// <https://developers.google.com/speed/webp/docs/riff_container>
    fn webp(&self) -> Option<(u32, u32)> {
        match &self.bytes::<4>(12)? {
            b"VP8X" => {
                let [a, b, c, d, e, f] = self.bytes(24)?;
                Some((u32::from_le_bytes([a, b, c, 0]) + 1, u32::from_le_bytes([d, e, f, 0]) + 1))
            }
            b"VP8L" => {
                let bits = u32::from_le_bytes(self.bytes(21)?);
                Some(((bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1))
            }
            b"VP8 " => {
                let [a, b, c, d] = self.bytes(26)?;
                Some((u32::from(u16::from_le_bytes([a, b]) & 0x3FFF), u32::from(u16::from_le_bytes([c, d]) & 0x3FFF)))
            }
            _ => None,
        }
    }

    /// Segment by segment to the one with the frame's size.
    fn jpeg(&self) -> Option<(u32, u32)> {
        let mut at = 2;
        for _ in 0..MOST_SEGMENTS {
            let [mark, kind, high, low] = self.bytes(at)?;
            if mark != 0xFF {
                return None;
            }
            match kind {
                // Fill, or a mark without a length.
                0xFF => at += 1,
                0x01 | 0xD0..=0xD8 => at += 2,
                0xC0..=0xCF if !matches!(kind, 0xC4 | 0xC8 | 0xCC) => {
                    let [a, b, c, d] = self.bytes(at + 5)?;
                    return Some((u16::from_be_bytes([c, d]).into(), u16::from_be_bytes([a, b]).into()));
                }
                _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dimensions(bytes: &[u8]) -> Option<(u32, u32)> {
        Encoded(BASE64.encode(bytes).as_bytes()).dimensions()
    }

    fn padded(parts: &[&[u8]]) -> Vec<u8> {
        let mut all = parts.concat();
        all.extend([0; 64]);
        all
    }

    #[test]
    fn each_format_tells_its_size() {
        assert_eq!(dimensions(&padded(&[b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", &640u32.to_be_bytes(), &480u32.to_be_bytes()])), Some((640, 480)));
        assert_eq!(dimensions(&padded(&[b"GIF89a", &320u16.to_le_bytes(), &200u16.to_le_bytes()])), Some((320, 200)));
        let large = padded(&[b"RIFF\0\0\0\0WEBPVP8X\0\0\0\0\0\0\0\0", &[0xFF, 0x03, 0, 0xFF, 0x01, 0]]);
        assert_eq!(dimensions(&large), Some((1024, 512)));
        let lossless = padded(&[b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f", &((99u32) | (49 << 14)).to_le_bytes()]);
        assert_eq!(dimensions(&lossless), Some((100, 50)));
        let lossy = padded(&[b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a", &800u16.to_le_bytes(), &600u16.to_le_bytes()]);
        assert_eq!(dimensions(&lossy), Some((800, 600)));
        let mut exif = vec![0xFF, 0xE1, 0xEA, 0x60];
        exif.extend(vec![7; 60_000 - 2]);
        let frame = [0xFF, 0xC2, 0, 17, 8, 0x02, 0x58, 0x03, 0x20];
        assert_eq!(dimensions(&padded(&[&[0xFF, 0xD8], &exif, &[0xFF, 0xC4, 0, 4, 1, 2], &frame])), Some((800, 600)));
    }

    #[test]
    fn what_is_broken_has_no_size() {
        for bytes in [&b""[..], b"\x89PNG", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0", b"RIFF\0\0\0\0WEBPVP8?aaaaaaaaaaaaaaaaaaa", b"BM plain bitmap bytes"] {
            assert_eq!(dimensions(bytes), None);
        }
        let endless = [&[0xFF, 0xD8][..], &[0xFF, 0xE0, 0, 2].repeat(1000)].concat();
        assert_eq!(dimensions(&endless), None);
        assert_eq!(Encoded(b"!!!!not base64 at all!!!!").dimensions(), None);
        assert_eq!(Encoded(BASE64.encode(b"12345").as_bytes()).len(), 5);
    }
}
