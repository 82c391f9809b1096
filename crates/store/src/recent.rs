//! The largest listing that was read, kept for whoever asks next: making one system asks for that of its base again and again.

use std::sync::{Arc, Mutex, PoisonError};

use crate::Listing;

/// Listings from this many entries on are not kept: they are as long as nobody's base is, and memory is not without end.
const MOST: usize = 500_000;

/// A listing by the SHA-256 of its text, so it is what would be read again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Recent(Arc<Mutex<Option<Kept>>>);

type Kept = (String, Arc<Listing>);

impl Recent {
    /// The listing whose text has this SHA-256, if it is the one that was kept.
    pub(crate) fn get(&self, sha256: &str) -> Option<Arc<Listing>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.as_ref().filter(|(kept, _)| kept == sha256).map(|(_, listing)| Arc::clone(listing))
    }

    /// Keeps a listing, unless a larger one is kept.
    pub(crate) fn keep(&self, sha256: &str, listing: &Arc<Listing>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = listing.entries().len();
        if count < MOST && kept.as_ref().is_none_or(|(_, other)| other.entries().len() <= count) {
            *kept = Some((sha256.to_string(), Arc::clone(listing)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, EntryKind};

    fn listing(count: usize) -> Arc<Listing> {
        let entry = Entry { path: String::new(), kind: EntryKind::Directory };
        Arc::new(Listing::new(vec![entry; count]))
    }

    #[test]
    fn the_largest_is_kept_and_given_for_its_own_hash_only() {
        let recent = Recent::default();
        let same = recent.clone();
        assert!(recent.get("a").is_none());
        for (hash, count, kept) in [("a", 2, "a"), ("b", 1, "a"), ("c", 2, "c"), ("d", MOST, "c"), ("e", MOST - 1, "e")]
        {
            recent.keep(hash, &listing(count));
            for asked in ["a", "b", "c", "d", "e"] {
                assert_eq!(same.get(asked).is_some(), asked == kept, "{asked} after {hash}");
            }
        }
    }
}
