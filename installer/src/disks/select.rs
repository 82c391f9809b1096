//! Which disk somebody means. A selector means exactly one disk, or none: a guess could cost somebody their data.

use std::cmp::Reverse;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use cairn_machine::nearest;
use cairn_machine::size::Size;

use super::{Device, Kind, Stack, Use};

/// Folders below which a person mounts disks to look at them. What is mounted anywhere else, the running system needs.
const FOR_A_LOOK: [&str; 4] = ["/mnt", "/media", "/run/media", "/target"];
const KEYS: [&str; 6] = ["serial", "wwn", "id", "model", "transport", "size"];

/// What somebody says of the disk that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// `only`: the only one that a system can be installed on.
    Only,
    /// `/dev/…`: a node, or one of udev's links to one.
    Node(PathBuf),
    /// `KEY=VALUE`, several with commas between them; all of them must be true.
    All(Vec<Wish>),
}

/// One thing that must be true of a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// `serial=`: this is its serial number.
    Serial(String),
    /// `wwn=`: this is its world wide name.
    Wwn(String),
    /// `id=`: one of its names in `/dev/disk/by-id`.
    Id(String),
    /// `model=`: its model has this in it; capitals and small letters are the same.
    Model(String),
    /// `transport=`: it is reached in this way.
    Transport(String),
    /// `size=MIN..MAX`: it has so many bytes; either may be missing.
    Bytes(u64, u64),
}

/// Why a text says nothing of a disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectorError {
    /// No word in it is known.
    #[error("`{word}` selects no disk; write /dev/disk/by-id/…, `only`, or one or more of {} with `=` and a value, such as `serial=S1` or `model=Samsung,size=400G..600G`{}", KEYS.join(", "), did_you_mean(*.nearest))]
    Unknown {
        /// The word.
        word: String,
        /// A key that is like it.
        nearest: Option<&'static str>,
    },
    /// A key without a value.
    #[error("`{0}=` says nothing")]
    Empty(String),
    /// A size is none.
    #[error("{0}")]
    Size(String),
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|key| format!("; did you mean {key}?")).unwrap_or_default()
}

impl FromStr for Selector {
    type Err = SelectorError;

    fn from_str(text: &str) -> Result<Selector, SelectorError> {
        match text {
            "only" => return Ok(Selector::Only),
            _ if text.starts_with("/dev/") => return Ok(Selector::Node(text.into())),
            _ => {}
        }
        text.split(',').map(wish).collect::<Result<_, _>>().map(Selector::All)
    }
}

fn wish(text: &str) -> Result<Wish, SelectorError> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let known = KEYS.contains(&key);
    if !known || !text.contains('=') {
        return Err(SelectorError::Unknown {
            word: text.into(),
            nearest: nearest(key, KEYS).and_then(|near| KEYS.into_iter().find(|key| *key == near)),
        });
    }
    if value.is_empty() {
        return Err(SelectorError::Empty(key.into()));
    }
    Ok(match key {
        "serial" => Wish::Serial(value.into()),
        "wwn" => Wish::Wwn(value.into()),
        "id" => Wish::Id(value.trim_start_matches("/dev/disk/by-id/").into()),
        "model" => Wish::Model(value.to_lowercase()),
        "transport" => Wish::Transport(value.to_lowercase()),
        _ => bytes(value)?,
    })
}

fn bytes(value: &str) -> Result<Wish, SelectorError> {
    let size = |text: &str, open: u64| match text {
        "" => Ok(open),
        text => text.parse::<Size>().map(Size::bytes).map_err(|e| SelectorError::Size(format!("size: {e}"))),
    };
    let Some((least, most)) = value.split_once("..") else {
        let message = "size: a disk has never exactly the size that is printed on it; write a range, such as `400G..600G` or `1T..`";
        return Err(SelectorError::Size(message.into()));
    };
    let (least, most) = (size(least, 0)?, size(most, u64::MAX)?);
    if least > most {
        return Err(SelectorError::Size(format!("size: {value} is a range with nothing in it")));
    }
    Ok(Wish::Bytes(least, most))
}

impl Wish {
    fn is_true_of(&self, device: &Device) -> bool {
        let identity = &device.identity;
        match self {
            Wish::Serial(wanted) => identity.serial.as_ref() == Some(wanted),
            Wish::Wwn(wanted) => identity.wwn.as_ref() == Some(wanted),
            Wish::Id(wanted) => identity.by_id.contains(wanted),
            Wish::Model(part) => identity.model.as_ref().is_some_and(|model| model.to_lowercase().contains(part)),
            Wish::Transport(wanted) => device.transport == Some(wanted),
            Wish::Bytes(least, most) => (*least..=*most).contains(&device.bytes),
        }
    }
}

/// Why no system is installed on a disk, whoever asks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// There is no medium in it.
    Empty,
    /// It cannot be written to.
    ReadOnly,
    /// The running system needs it, here.
    System(PathBuf),
    /// The running system's memory is swapped to it.
    Swap,
    /// It is one way to a disk that has more; that one is meant.
    PathOf(String),
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Obstacle::Empty => f.write_str("there is no medium in it"),
            Obstacle::ReadOnly => f.write_str("it cannot be written to"),
            Obstacle::System(at) => write!(f, "the running system is on it ({})", at.display()),
            Obstacle::Swap => f.write_str("the running system swaps to it"),
            Obstacle::PathOf(whole) => write!(f, "it is one of the ways to {whole}"),
        }
    }
}

/// A disk on which a system could be, and why not on this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate<'d> {
    /// The disk.
    pub device: &'d Device,
    /// Why not.
    pub obstacle: Option<Obstacle>,
}

/// All of them, those without an obstacle first, then the larger first, then by what they say of themselves: always in the same
/// order, whatever the kernel calls them today.
pub fn candidates(devices: &[Device]) -> Vec<Candidate<'_>> {
    let mut all = of_kinds(devices, &[Kind::Disk, Kind::Multipath]);
    all.sort_by_cached_key(|one| {
        let identity = &one.device.identity;
        (
            one.obstacle.is_some(),
            Reverse(one.device.bytes),
            identity.serial.clone(),
            identity.wwn.clone(),
            identity.by_id.clone(),
            one.device.name.clone(),
        )
    });
    all
}

fn of_kinds<'d>(devices: &'d [Device], kinds: &[Kind]) -> Vec<Candidate<'d>> {
    let disks = devices.iter().filter(|device| kinds.contains(&device.kind));
    disks.map(|device| Candidate { device, obstacle: obstacle(Stack(devices), device) }).collect()
}

fn obstacle(stack: Stack<'_>, device: &Device) -> Option<Obstacle> {
    if device.bytes == 0 {
        return Some(Obstacle::Empty);
    }
    let whole = stack.whole(device);
    let uses = || whole.iter().flat_map(|one| &one.uses);
    let mounted = uses().filter_map(|one| match one {
        Use::Mounted(at) if !FOR_A_LOOK.iter().any(|folder| at.starts_with(folder)) => Some(at),
        _ => None,
    });
    // `/` says more than what is below it.
    let system = mounted.min_by_key(|at| at.components().count()).map(|at| Obstacle::System(at.clone()));
    let system = system.or_else(|| uses().any(|one| *one == Use::Swap).then_some(Obstacle::Swap));
    let path =
        || stack.upon(device).find(|one| one.kind == Kind::Multipath).map(|one| Obstacle::PathOf(one.name.clone()));
    let path = (device.kind == Kind::Disk).then(path).flatten();
    system.or(path).or(device.read_only.then_some(Obstacle::ReadOnly))
}

/// Why a selector means no disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unselected {
    /// No disk is like that.
    #[error("no disk is like that")]
    Nothing,
    /// What has this name is no disk.
    #[error("{name} is {}", .disk.as_ref().map_or_else(|| "no disk".to_string(), |disk| format!("a partition: name its disk, /dev/{disk}")))]
    NoDisk {
        /// Its name of today.
        name: String,
        /// The disk that it is a partition of.
        disk: Option<String>,
    },
    /// More than one is.
    #[error("{} disks are like that: {}", .0.len(), .0.join(", "))]
    Several(Vec<String>),
    /// The one that is cannot be installed on.
    #[error("{name} cannot be installed on: {obstacle}")]
    Obstacle {
        /// The disk's name of today.
        name: String,
        /// Why.
        obstacle: Obstacle,
    },
}

impl Selector {
    /// The one disk that is meant. `real` gives the name of the device that a node in `/dev` leads to.
    ///
    /// # Errors
    /// See [`Unselected`].
    pub fn select<'d>(
        &self,
        devices: &'d [Device],
        real: &dyn Fn(&std::path::Path) -> Option<String>,
    ) -> Result<&'d Device, Unselected> {
        let all = candidates(devices);
        // A file that is shown as a disk is meant by whoever names its node, and by nobody else.
        let files = of_kinds(devices, &[Kind::Loop]);
        let meant: Vec<&Candidate<'_>> = match self {
            Selector::Only => all.iter().filter(|one| one.obstacle.is_none()).collect(),
            Selector::Node(node) => {
                let name = real(node);
                all.iter().chain(&files).filter(|one| Some(&one.device.name) == name.as_ref()).collect()
            }
            Selector::All(wishes) => {
                let like = |one: &&Candidate<'_>| wishes.iter().all(|wish| wish.is_true_of(one.device));
                // Ways to one disk all look like it.
                all.iter().filter(like).filter(|one| !matches!(one.obstacle, Some(Obstacle::PathOf(_)))).collect()
            }
        };
        match meant[..] {
            [] => Err(self.instead(devices, real)),
            [Candidate { device, obstacle: None }] => Ok(device),
            [Candidate { device, obstacle: Some(obstacle) }] => {
                Err(Unselected::Obstacle { name: device.name.clone(), obstacle: obstacle.clone() })
            }
            _ => Err(Unselected::Several(meant.iter().map(|one| one.device.name.clone()).collect())),
        }
    }

    /// What there is instead of a disk.
    fn instead(&self, devices: &[Device], real: &dyn Fn(&std::path::Path) -> Option<String>) -> Unselected {
        let Selector::Node(node) = self else { return Unselected::Nothing };
        let name = real(node);
        match devices.iter().find(|device| Some(&device.name) == name.as_ref()) {
            None => Unselected::Nothing,
            Some(device) => Unselected::NoDisk {
                name: device.name.clone(),
                disk: device.partition.as_ref().map(|partition| partition.disk.clone()),
            },
        }
    }
}
