//! Looks for the medium, for as long as it takes: a stick may have to be plugged in again, a virtual disc over a slow network
//! may not be there yet.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::super::drivers::Drivers;
use super::devices;
use super::file::Files;
use super::tag::Tag;
use super::tell;
use crate::error::Error;

/// After so long somebody who sits there should know what is looked for.
const FIRST_WORD: Duration = Duration::from_secs(8);
/// After so long it is not there: slow drives and sticks need up to a minute.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks, at first and later on.
const PAUSES: [Duration; 2] = [Duration::from_millis(20), Duration::from_secs(1)];

/// Where the medium is.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The node of a device, or a file on a file system that is mounted.
    pub place: PathBuf,
    /// What its tag says.
    pub tag: Tag,
}

/// The device that has the medium with this root hash, or the file of this path on any file system.
pub fn find(root_hash: &str, path: Option<&str>) -> Result<Found, Error> {
    let begun = Instant::now();
    let (mut drivers, mut files) = (Drivers::default(), path.map(Files::new));
    let mut words = Words::default();
    loop {
        let new = drivers.load(&[])?;
        let there = devices::all();
        let mut looked_at = Vec::new();
        for device in there.iter().filter(|device| device.whole) {
            let node = device.node();
            match judge(devices::tag_of(&node), root_hash) {
                Ok(tag) => return Ok(Found { place: node, tag }),
                Err(why) => looked_at.push(format!("{}: {why}", device.describe())),
            }
        }
        if let Some(found) = files.as_mut().and_then(|files| files.look(&there, root_hash)) {
            return Ok(found);
        }
        words.say(begun.elapsed(), root_hash, path, looked_at);
        if !new {
            std::thread::sleep((begun.elapsed() / 10).clamp(PAUSES[0], PAUSES[1]));
        }
    }
}

/// The tag, if it is that of the medium that is looked for; or why it is not, as the end of a sentence.
pub fn judge(tag: Result<Option<Tag>, Error>, root_hash: &str) -> Result<Tag, String> {
    match tag {
        Ok(Some(tag)) if tag.root_hash == root_hash => Ok(tag),
        Ok(Some(tag)) => Err(format!("it is another medium of Cairn ({}…)", &tag.root_hash[..12])),
        Ok(None) => Err("it is no medium of Cairn".into()),
        Err(why) => Err(why.to_string()),
    }
}

/// What has been said.
#[derive(Debug, Default)]
struct Words {
    first: bool,
    /// The devices of which was said that none is it.
    last: Option<Vec<String>>,
}

impl Words {
    /// Says what there is to be said after so long; of the devices, as often as there are others.
    fn say(&mut self, after: Duration, root_hash: &str, path: Option<&str>, looked_at: Vec<String>) {
        if after < FIRST_WORD {
            return;
        }
        if !self.first {
            self.first = true;
            tell("looking for the installation medium; a slow drive needs up to a minute");
        }
        if after < PATIENCE || self.last.as_ref() == Some(&looked_at) {
            return;
        }
        report(root_hash, path, &looked_at).iter().for_each(|line| tell(line));
        self.last = Some(looked_at);
    }
}

/// That there is none, and what to do.
fn report(root_hash: &str, path: Option<&str>, looked_at: &[String]) -> Vec<String> {
    let mut lines =
        vec![format!("the installation medium ({}…) is not there.", root_hash.get(..12).unwrap_or(root_hash))];
    if looked_at.is_empty() {
        lines.push("No disk, stick or drive at all can be seen from here.".into());
    } else {
        lines.push("These can be seen:".into());
        lines.extend(looked_at.iter().map(|line| format!("  {line}")));
    }
    if let Some(path) = path {
        lines.push(format!("On none of the file systems is it in the file {path}, which the boot menu names."));
    }
    lines.push(
        "Plug the medium in again, or into another port; if it is not seen there either, try it in another machine."
            .into(),
    );
    lines.push("This goes on by itself as soon as the medium is there.".into());
    lines
}

#[cfg(test)]
mod tests {
    use super::super::tag::Extent;
    use super::*;

    fn tag(root_hash: &str) -> Tag {
        let extent = Extent { offset: 65536, length: 4096 };
        Tag { root_hash: root_hash.into(), payload: extent, hashes: extent, spare: extent }
    }

    #[test]
    fn only_the_medium_that_is_named_is_taken() {
        let (this, other) = ("0".repeat(64), "f".repeat(64));
        assert_eq!(judge(Ok(Some(tag(&this))), &this), Ok(tag(&this)));
        assert_eq!(judge(Ok(Some(tag(&other))), &this), Err("it is another medium of Cairn (ffffffffffff…)".into()));
        assert_eq!(judge(Ok(None), &this), Err("it is no medium of Cairn".into()));
        assert_eq!(judge(Err(Error::new("x")), &this), Err("x".into()));
    }

    #[test]
    fn what_is_there_is_said_once_and_again_when_it_changes() {
        let hash = "0".repeat(64);
        let mut words = Words::default();
        let mut said = |seconds, devices: &[&str]| {
            words.say(Duration::from_secs(seconds), &hash, None, devices.iter().map(ToString::to_string).collect());
            words.last.clone()
        };
        assert_eq!(said(1, &["a"]), None);
        assert_eq!(said(20, &["a"]), None);
        assert_eq!(said(61, &["a"]), Some(vec!["a".into()]));
        assert_eq!(said(62, &["a", "b"]), Some(vec!["a".into(), "b".into()]));
    }

    #[test]
    fn what_to_do_is_said_in_lines_that_are_not_cut() {
        let lines =
            report(&"0".repeat(64), Some("/isos/a.iso"), &["/dev/sda (X, 1 MB): it is no medium of Cairn".into()]);
        assert!(lines.iter().all(|line| line.chars().count() < 200), "{lines:?}");
        assert!(lines.iter().any(|line| line.contains("/isos/a.iso")));
        assert!(report("", None, &[]).iter().any(|line| line.starts_with("No disk")));
    }
}
