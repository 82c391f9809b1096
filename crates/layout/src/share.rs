//! How partitions share a disk: systemd-repart's weights.
//!
//! Each partition has a least size, perhaps a greatest one, and a weight. Its share is the whole span times its weight
//! over the sum of weights. A share below the least is raised to it, then a share above the greatest is cut to it; each
//! such partition leaves the game with its size, and the others share again what is left.

/// What one partition asks for, in units of the alignment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub(crate) min: u64,
    pub(crate) max: u64,
    pub(crate) weight: u32,
}

/// Divides `span` units. The caller has checked that the least sizes fit into it.
pub(crate) fn divide(span: u64, claims: &[Claim]) -> Vec<u64> {
    let mut sizes: Vec<Option<u64>> = vec![None; claims.len()];
    // Who takes part in the sharing at all: the others have their least size.
    for (size, claim) in sizes.iter_mut().zip(claims) {
        if claim.weight == 0 || claim.max == claim.min {
            *size = Some(claim.min);
        }
    }
    fix_all(span, claims, &mut sizes, |share, claim| (share < claim.min).then_some(claim.min));
    fix_all(span, claims, &mut sizes, |share, claim| (share > claim.max).then_some(claim.max));

    // What rounding down leaves over goes to the last one that can still take it.
    let (left, weights) = rest(span, claims, &sizes);
    let mut remaining = left;
    let last = sizes.iter().rposition(Option::is_none);
    for (i, claim) in claims.iter().enumerate() {
        if sizes[i].is_none() {
            let size = if Some(i) == last { remaining } else { share(left, claim.weight, weights) };
            let size = size.min(claim.max);
            remaining = remaining.saturating_sub(size);
            sizes[i] = Some(size);
        }
    }
    sizes.into_iter().map(Option::unwrap_or_default).collect()
}

/// Fixes one partition after the other, sharing anew each time, until the rule finds none.
fn fix_all(span: u64, claims: &[Claim], sizes: &mut [Option<u64>], rule: impl Fn(u64, &Claim) -> Option<u64>) {
    loop {
        let (left, weights) = rest(span, claims, sizes);
        let next = claims
            .iter()
            .enumerate()
            .filter(|(i, _)| sizes[*i].is_none())
            .find_map(|(i, claim)| Some((i, rule(share(left, claim.weight, weights), claim)?)));
        let Some((i, size)) = next else { return };
        sizes[i] = Some(size);
    }
}

fn rest(span: u64, claims: &[Claim], sizes: &[Option<u64>]) -> (u64, u64) {
    let taken = sizes.iter().flatten().fold(0, |sum: u64, size| sum.saturating_add(*size));
    let weights = claims.iter().zip(sizes).filter(|(_, s)| s.is_none()).map(|(c, _)| u64::from(c.weight)).sum();
    (span.saturating_sub(taken), weights)
}

fn share(left: u64, weight: u32, weights: u64) -> u64 {
    let share = u128::from(left) * u128::from(weight) / u128::from(weights.max(1));
    // A share of a u64 is never larger than it.
    u64::try_from(share).unwrap_or(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(min: u64, max: u64, weight: u32) -> Claim {
        Claim { min, max, weight }
    }

    #[test]
    fn weights_divide_what_there_is() {
        assert_eq!(divide(300, &[claim(1, u64::MAX, 1000), claim(1, u64::MAX, 2000)]), [100, 200]);
    }

    #[test]
    fn a_least_size_comes_first() {
        assert_eq!(divide(300, &[claim(250, u64::MAX, 1000), claim(1, u64::MAX, 2000)]), [250, 50]);
    }

    #[test]
    fn what_a_greatest_size_leaves_goes_to_the_others() {
        assert_eq!(divide(300, &[claim(1, 20, 1000), claim(1, u64::MAX, 1000)]), [20, 280]);
    }

    #[test]
    fn raising_one_to_its_least_size_can_push_another_below_its_own() {
        let claims = [claim(200, u64::MAX, 1000), claim(40, u64::MAX, 1000), claim(60, u64::MAX, 1000)];
        assert_eq!(divide(300, &claims), [200, 40, 60]);
    }

    #[test]
    fn rounding_loses_nothing() {
        let claims = [claim(1, u64::MAX, 1), claim(1, u64::MAX, 1), claim(1, u64::MAX, 1)];
        assert_eq!(divide(100, &claims).iter().sum::<u64>(), 100);
    }

    #[test]
    fn what_rounding_leaves_goes_to_the_last_that_can_take_it() {
        let free = claim(1, u64::MAX, 1);
        assert_eq!(divide(11, &[free, free, free]), [3, 3, 5]);
        assert_eq!(divide(11, &[free, free, claim(1, u64::MAX, 0)]), [5, 5, 1]);
        // A share that is just the least or the greatest size is a share like any other.
        assert_eq!(divide(11, &[claim(3, u64::MAX, 1), free, free]), [3, 3, 5]);
        assert_eq!(divide(11, &[claim(1, 3, 1), free, free]), [3, 3, 5]);
        // And never more than the greatest size.
        assert_eq!(divide(11, &[free, free, claim(1, 4, 1)]), [3, 3, 4]);
    }

    #[test]
    fn a_fixed_size_is_out_of_the_game_at_once() {
        let claims = [claim(50, 50, 1000), claim(120, u64::MAX, 1000), claim(1, u64::MAX, 1000)];
        assert_eq!(divide(300, &claims), [50, 125, 125]);
    }

    #[test]
    fn without_weight_there_is_no_more_than_the_least() {
        assert_eq!(divide(100, &[claim(7, u64::MAX, 0), claim(1, u64::MAX, 5)]), [7, 93]);
    }
}
