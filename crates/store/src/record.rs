//! What the store writes down about a path beside its tree, and the same for another store: an image's root carries it,
//! so that the machine knows from its first boot what it has.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::fingerprint::AS_LISTED;
use crate::info::to_hex;
use crate::{Listing, PathInfo, Store, StoreError, StorePath};

/// Where the records are, below the root. A store that is brought along should have all of these folders, so that it can
/// be opened where nothing can be written.
pub const RECORD_DIRS: [&str; 4] =
    ["nix/var/cairn/info", "nix/var/cairn/listing", "nix/var/cairn/fingerprint", "nix/var/cairn/tmp"];

/// A file that belongs into a store's root beside the trees. Owner root, mode 0644.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFile {
    /// Where, below the root: `nix/var/cairn/info/NAME.json`.
    pub path: String,
    /// Its contents.
    pub bytes: Vec<u8>,
}

/// The contents of an info file. The checksum finds damage in it, and the listing's in the listing.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct InfoFile {
    info: PathInfo,
    listing: String,
    checksum: String,
}

/// A valid path's metadata, with what belongs to it.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) info: PathInfo,
    /// SHA-256 of the listing, in base 16.
    pub(crate) listing: String,
}

impl Store {
    /// The files that make a store know `infos`, whose trees somebody else has put there just as the listings say (an
    /// image builder): information, listing, and a fingerprint that says that nobody has looked at the tree yet. The
    /// signatures are those of `infos`. Sorted by path; the same infos give the same bytes.
    ///
    /// # Errors
    /// [`StoreError::Missing`], [`StoreError::Damaged`], [`StoreError::Io`].
    pub fn records(&self, infos: &[PathInfo]) -> Result<Vec<RecordFile>, StoreError> {
        let mut files = Vec::with_capacity(infos.len() * 3);
        for info in infos {
            let record = self.valid(&info.path)?;
            let listing = self.listing_text(&info.path, &record)?;
            let name = info.path.base_name();
            let mut push = |path, text: String| files.push(RecordFile { path, bytes: text.into_bytes() });
            push(format!("nix/var/cairn/info/{name}.json"), info_text(info, &listing));
            push(format!("nix/var/cairn/fingerprint/{name}"), AS_LISTED.to_string());
            push(format!("nix/var/cairn/listing/{name}"), listing);
        }
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok(files)
    }
}

/// Reads what a store that is not mounted here says about a path: the bytes of its info file and of its listing.
/// Nothing when either is not what a store wrote, or they do not belong together.
#[must_use]
pub fn read_record(info: &[u8], listing: &[u8]) -> Option<(PathInfo, Listing)> {
    let record = parse(info)?;
    if record.listing != to_hex(&Sha256::digest(listing)) {
        return None;
    }
    Some((record.info, Listing::parse(std::str::from_utf8(listing).ok()?)?))
}

/// The path that an info file's name is about; nothing for any other name.
#[must_use]
pub fn recorded_path(file_name: &str) -> Option<StorePath> {
    StorePath::from_basename(file_name.strip_suffix(".json")?).ok()
}

/// Reads an info file; nothing when it is damaged.
pub(crate) fn parse(bytes: &[u8]) -> Option<Record> {
    let read: InfoFile = serde_json::from_slice(bytes).ok()?;
    (read.checksum == checksum(&read.info, &read.listing)).then_some(Record { info: read.info, listing: read.listing })
}

/// The text of an info file.
pub(crate) fn info_text(info: &PathInfo, listing: &str) -> String {
    let listing = to_hex(&Sha256::digest(listing));
    let checksum = checksum(info, &listing);
    json(&InfoFile { info: info.clone(), listing, checksum })
}

fn checksum(info: &PathInfo, listing: &str) -> String {
    to_hex(&Sha256::digest(json(&(info, listing))))
}

/// These values have string keys only and no floats, so there is nothing that JSON could not say.
fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_info_that_was_changed_anywhere_is_none() {
        let path = StorePath::input_addressed("x", b"").unwrap();
        let (references, ca, signatures) = ([path.clone()].into(), Some("ca".into()), vec!["signed".into()]);
        let info = PathInfo { path, nar_hash: [7; 32], nar_size: 96, references, ca, signatures, registration_time: 1 };
        let text = info_text(&info, "listing");
        assert_eq!(parse(text.as_bytes()).unwrap().info, info);
        let (listing, none) = (to_hex(&Sha256::digest("listing")), to_hex(&[0; 32]));
        for (from, to) in [
            ("-x\"", "-y\""),
            ("0707", "0708"),
            (":96,", ":95,"),
            ("\"ca\"", "null"),
            ("signed", "forged"),
            (listing.as_str(), none.as_str()),
        ] {
            let other = text.replace(from, to);
            assert_ne!(other, text, "{from}");
            assert!(parse(other.as_bytes()).is_none(), "{other}");
        }
    }
}
