//! Weighted chance that can be repeated: weighted rendezvous hashing.
//!
//! Each channel draws a lot from the request's number and its own id; the lowest lot wins. A lot is exponentially distributed with the weight as its
//! rate, so a channel wins in proportion to its weight, and the order of all lots is a weighted shuffle. No lot depends on another channel, so a
//! channel that comes takes over only what it wins, and one that goes leaves only what it had.

use crate::kernel::Id;

/// The lot of a channel: the lower, the sooner.
pub(super) fn lot(seed: u64, channel: Id, weight: i64) -> f64 {
    let hash = mix(seed ^ mix(channel.0 as u64));
    // 53 bits make a float between 0 and 1, both excluded, so that its logarithm is finite and below zero.
    let uniform = ((hash >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -uniform.ln() / weight.max(1) as f64
}

/// The place in a channel's pool where a request begins.
pub(super) fn place(seed: u64, channel: Id, pool: usize) -> usize {
    if pool < 2 {
        return 0;
    }
    // Another number than the lot's: winning must say nothing about the place.
    let hash = mix(mix(seed ^ mix(channel.0 as u64)) ^ 0x706f_6f6c);
    ((u128::from(hash) * pool as u128) >> 64) as usize
}

/// Scatters a number over all 64 bits (the finalizer of SplitMix64).
pub(super) fn mix(mut n: u64) -> u64 {
    n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Weighted = Vec<(i64, i64)>;

    fn winner(seed: u64, channels: &[(i64, i64)]) -> Option<i64> {
        channels.iter().min_by(|a, b| lot(seed, Id(a.0), a.1).total_cmp(&lot(seed, Id(b.0), b.1))).map(|(id, _)| *id)
    }

    fn channels() -> impl Strategy<Value = Weighted> {
        proptest::collection::btree_map(0_i64..1_000_000, 1_i64..1_000, 2..12).prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn who_goes_takes_along_only_its_own(all in channels(), seeds in proptest::collection::vec(any::<u64>(), 50), gone in any::<prop::sample::Index>()) {
            let gone = all[gone.index(all.len())].0;
            let left: Weighted = all.iter().copied().filter(|(id, _)| *id != gone).collect();
            for seed in seeds {
                let before = winner(seed, &all);
                prop_assert!(before == Some(gone) || before == winner(seed, &left));
            }
        }

        #[test]
        fn a_heavier_weight_only_wins_more(all in channels(), seeds in proptest::collection::vec(any::<u64>(), 50), at in any::<prop::sample::Index>()) {
            let at = at.index(all.len());
            let mut heavier = all.clone();
            heavier[at].1 *= 2;
            for seed in seeds {
                let (before, after) = (winner(seed, &all), winner(seed, &heavier));
                prop_assert!(before == after || after == Some(all[at].0));
            }
        }
    }

    #[test]
    fn shares_follow_the_weights() {
        let channels = [(7, 1), (8, 3), (9, 6)];
        let mut won = [0_u32; 3];
        for seed in 0..20_000 {
            let id = winner(mix(seed), &channels).unwrap();
            won[(id - 7) as usize] += 1;
        }
        for (won, expected) in won.into_iter().zip([2_000_u32, 6_000, 12_000]) {
            assert!(won.abs_diff(expected) < 400, "{won} of {expected}");
        }
    }

    #[test]
    fn a_pool_is_begun_everywhere() {
        let mut begun = [0_u32; 3];
        (0..3_000).for_each(|seed| begun[place(mix(seed), Id(5), 3)] += 1);
        assert!(begun.iter().all(|count| count.abs_diff(1_000) < 150), "{begun:?}");
        assert_eq!((place(9, Id(5), 0), place(9, Id(5), 1)), (0, 0));
    }
}
