//! The layout of a vocabulary in the program: used when the program is built, to write it, and when it runs, to read it.
//!
//! Three arrays, all of little-endian `u32` but the first: the bytes of all tokens in the order of their ranks; where each token ends in them; and a
//! hash table with open addressing, a power of two and at most half full, which has a rank plus one in each slot that is taken. It is read where it lies, so that it costs neither time nor memory
//! until it is used, and then only the pages that are.

/// Where the search for a token begins. FNV-1a, folded, since its lowest bits are its weakest.
pub fn hash(token: &[u8]) -> usize {
    let hash = token.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
    (hash ^ (hash >> 32)) as usize
}
