//! From what was answered to the next question.

use cairn_machine::size::Size;
use cairn_machine::{SourceFile, check, wifi_passphrase};

use super::by_hand::{ByHand, REST};
use super::file::{Files, PASSPHRASE, text};
use super::network::Heard;
use super::{Asks, Choice, OfferedSystem, Place, Question, Seen, SeenDisk, Topic};

/// Before the number of a partition that is replaced.
const REPLACE: &str = "replace-";
/// What becomes of the disk is said partition by partition.
const BY_HAND: &str = "by-hand";

/// What was answered, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    given: Vec<(Topic, String)>,
    /// Whether somebody wants to be asked about the network.
    network: bool,
}

/// The network is one with a cable, and says all by itself; or its address is fixed.
const DHCP: &str = "dhcp";
const FIXED: &str = "fixed";
/// In front of the name of a wireless one that was heard.
const WIFI: &str = "wifi ";

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Somebody is asked.
    Ask(Question),
    /// All is answered.
    Done,
}

impl Answers {
    /// What was answered to a question.
    pub fn get(&self, topic: Topic) -> Option<&str> {
        self.given.iter().find(|(of, _)| *of == topic).map(|(_, value)| value.as_str())
    }

    /// The next question.
    pub fn next(&self, seen: &Seen) -> Next {
        let hand = self.by_hand(seen);
        let in_hand = hand.as_ref().and_then(ByHand::topic);
        let open = self.topics(seen).find(|topic| match topic {
            // One that is asked again and again, until it is done.
            Topic::Part => in_hand.is_some(),
            topic => self.get(*topic).is_none(),
        });
        match (open, hand, in_hand) {
            (Some(Topic::Part), Some(hand), Some(topic)) => Next::Ask(hand.question(topic)),
            (Some(topic), ..) => Next::Ask(self.question(topic, seen)),
            (None, ..) => Next::Done,
        }
    }

    /// What is asked about, as far as it is known by now: a partition that is there has its size, and the only system needs no choice.
    pub fn topics(&self, seen: &Seen) -> impl Iterator<Item = Topic> {
        let network = self.network || !seen.network.online && !seen.network.radios.is_empty();
        let passphrase = network && self.wifi().is_some_and(|name| !heard(seen, name).is_some_and(|one| one.open));
        let address = network && self.get(Topic::Network) == Some(FIXED);
        let by_hand = self.by_hand(seen).is_some();
        let swap = self.made_anew(seen).is_none()
            && self.place(seen).is_none()
            && !by_hand
            && !self.system(seen).is_some_and(|system| system.has_own_layout());
        let system = seen.systems.len() > 1;
        Topic::ALL.into_iter().filter(move |topic| match topic {
            Topic::Swap => swap,
            Topic::Part => by_hand,
            // Each belongs to the one before.
            Topic::Becomes | Topic::MountPoint | Topic::Size => false,
            Topic::System => system,
            Topic::Network => network,
            Topic::WifiPassphrase => passphrase,
            Topic::Address => address,
            _ => true,
        })
    }

    /// The system that is installed, where there are some to choose from.
    pub(super) fn system<'s>(&self, seen: &'s Seen) -> Option<&'s OfferedSystem> {
        match &seen.systems[..] {
            [only] => Some(only),
            several => several.iter().find(|one| Some(one.name.as_str()) == self.get(Topic::System)),
        }
    }

    /// Lets the network be asked about, whatever was said of it.
    pub fn ask_network(&mut self) {
        self.network = true;
        self.given.retain(|(of, _)| !matches!(of, Topic::Network | Topic::WifiPassphrase | Topic::Address));
    }

    /// The name of the wireless network.
    pub fn wifi(&self) -> Option<&str> {
        let value = self.get(Topic::Network).filter(|value| ![DHCP, FIXED].contains(value))?;
        Some(value.strip_prefix(WIFI).unwrap_or(value))
    }

    /// The interface, the addresses, the gateways and the name servers, where they are fixed.
    pub(super) fn address<'s>(&'s self, seen: &'s Seen) -> Option<Fixed<'s>> {
        let words: Vec<&str> = self.get(Topic::Address)?.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let (addresses, others): (Vec<&str>, Vec<&str>) = words.into_iter().partition(|word| word.contains('/'));
        let (gateway, servers) = others.split_at(others.len().min(1));
        let interface = seen.network.wired.first().map_or("eth0", String::as_str);
        Some(Fixed { interface, addresses, gateways: gateway.to_vec(), servers: servers.to_vec() })
    }

    /// Takes the answer to a question, a value as [`Question::value_of`] gives it.
    ///
    /// # Errors
    /// In words: machine files do not allow it.
    pub fn give(&mut self, topic: Topic, value: String, seen: &Seen) -> Result<(), String> {
        if topic == Topic::WifiPassphrase {
            wifi_passphrase(value.as_bytes()).map_err(|why| why.to_string())?;
        }
        if topic == Topic::Address && !value.contains('/') {
            return Err("an address has the length of its network behind it, such as 192.0.2.10/24".into());
        }
        if topic == Topic::Size && value != REST {
            value.parse::<Size>().map_err(|why| why.to_string())?;
        }
        self.given.push((topic, value));
        let hand = self.by_hand(seen).map_or(Ok(()), |hand| hand.judge());
        self.check(seen).and(hand).inspect_err(|_| drop(self.given.pop()))
    }

    /// What was said of the disk by hand, where it is said so.
    pub(super) fn by_hand<'s>(&'s self, seen: &'s Seen) -> Option<ByHand<'s>> {
        let disk = self.disk(seen).filter(|_| self.get(Topic::Use) == Some(BY_HAND))?;
        Some(ByHand::of(disk, disk.there.as_ref()?, seen.uefi, &self.given))
    }

    /// Which of the topics a question is, and how many there are. What belongs to another one comes behind it in their order, and counts
    /// as that one.
    pub fn step(&self, topic: Topic, seen: &Seen) -> (usize, usize) {
        let topics: Vec<Topic> = self.topics(seen).collect();
        (topics.iter().filter(|one| **one <= topic).count(), topics.len())
    }

    /// The partitions of the machine that is made anew, if one is.
    pub(super) fn made_anew<'s>(&self, seen: &'s Seen) -> Option<&'s [(&'static str, u64)]> {
        matches!(self.get(Topic::Use)?, "again" | "renew")
            .then(|| self.disk(seen).map(|disk| &disk.parts[..]))
            .flatten()
    }

    /// The partition in whose place the machine is put, if it is one.
    pub(super) fn place<'s>(&self, seen: &'s Seen) -> Option<&'s Place> {
        let number: u32 = self.get(Topic::Use)?.strip_prefix(REPLACE)?.parse().ok()?;
        self.disk(seen)?.places.iter().find(|place| place.number == number)
    }

    fn disk<'s>(&self, seen: &'s Seen) -> Option<&'s SeenDisk> {
        let wanted = self.get(Topic::Disk)?;
        seen.disks.iter().find(|disk| disk.selector == wanted)
    }

    /// Takes the last answer back; whether there was one.
    pub fn back(&mut self) -> bool {
        self.given.pop().is_some()
    }

    /// Takes back an answer and all that were given after it.
    pub fn back_to(&mut self, topic: Topic) {
        let at = self.given.iter().position(|(of, _)| *of == topic);
        self.given.truncate(at.unwrap_or(self.given.len()));
    }

    /// The machine file, and what goes beside it. `hash` makes of a password what is written down.
    ///
    /// # Errors
    /// What hashing meets.
    pub fn files<E>(&self, seen: &Seen, hash: impl FnOnce(&str) -> Result<String, E>) -> Result<Files, E> {
        let password = self.get(Topic::Password).map(hash).transpose()?;
        let name = self.get(Topic::User).unwrap_or_default();
        let passphrase = self.get(Topic::WifiPassphrase).map(|it| (PASSPHRASE.to_string(), format!("{it}\n")));
        let beside = password.map(|hash| (format!("{name}.password"), format!("{hash}\n")));
        let mut beside: Vec<(String, Vec<u8>)> =
            beside.into_iter().chain(passphrase).map(|(name, text)| (name, text.into_bytes())).collect();
        if let Some(system) = self.system(seen) {
            beside.extend(
                system
                    .beside
                    .iter()
                    .filter(|(there, _)| beside.iter().all(|(name, _)| name != there))
                    .cloned()
                    .collect::<Vec<_>>(),
            );
        }
        Ok(Files { machine: text(self, seen), beside })
    }

    /// Whatever was answered before was all right, so what is not is the last answer.
    fn check(&self, seen: &Seen) -> Result<(), String> {
        let file = SourceFile::new("machine.yaml", text(self, seen));
        let Err(problems) = check(&file, &mut |_| Err("there is none".into())) else { return Ok(()) };
        let Some(first) = problems.iter().next() else { return Ok(()) };
        let help = first.help.as_ref().map(|help| format!(": {help}")).unwrap_or_default();
        Err(format!("{}{help}", first.message))
    }

    fn question(&self, topic: Topic, seen: &Seen) -> Question {
        let mut notes = Vec::new();
        let (title, help, asks) = match topic {
            Topic::Language => (
                "The language of the machine",
                "Messages, dates and numbers. A locale that is not in the list will do too.",
                among(seen.languages.clone(), seen.language.as_deref().or(Some("C.UTF-8")), true),
            ),
            Topic::Keyboard => (
                "The keyboard",
                "The layout of the machine's text consoles.",
                among(
                    seen.keyboards.clone(),
                    seen.keyboard.as_deref().or(self.keyboard()).or(Some("us")),
                    !seen.complete,
                ),
            ),
            Topic::TimeZone => (
                "The time zone",
                "The nearest large city. Letters of its name find it.",
                among(seen.zones.clone(), seen.zone.as_deref().or(Some("UTC")), seen.zones.len() < 2),
            ),
            Topic::Network => (
                "The network",
                "By cable nothing has to be said: an address is asked for (DHCP). A wireless network that does not tell its name can be \
                 typed. The machine knows it from the start.",
                among(networks(seen), None, !seen.network.radios.is_empty()),
            ),
            Topic::WifiPassphrase => (
                "The passphrase of that network",
                "It is not shown. It goes into a file that only root reads, and is no part of the system.",
                Asks::Secret,
            ),
            Topic::Address => (
                "The address, the gateway and the name servers",
                "In this order, such as 192.0.2.10/24 192.0.2.1 192.0.2.53. Without the last two only the own network is reached.",
                Asks::Text { default: String::new(), optional: false },
            ),
            Topic::System => (
                "The system",
                "Each is a machine file; the last question shows it, with your answers in it.",
                among(seen.systems.iter().map(|one| choice(&one.name, &one.title())).collect(), None, false),
            ),
            Topic::Disk => {
                notes.extend(seen.disks.iter().flat_map(SeenDisk::notes));
                (
                    "The disk on which the machine is installed",
                    "Nothing is written before all is shown once more and you type what this disk is called. Disks that the running \
                 system needs are not in the list: `cairn disks only` says why.",
                    among(
                        seen.disks.iter().map(|disk| choice(&disk.selector, &described(disk))).collect(),
                        None,
                        false,
                    ),
                )
            }
            // `ByHand` asks about these.
            Topic::Part | Topic::Becomes | Topic::MountPoint | Topic::Size => {
                ("", "", Asks::Text { default: String::new(), optional: true })
            }
            Topic::Use => (
                "What the machine gets of that disk",
                "Whatever is lost is shown by name before it is lost.",
                among(self.uses(seen), None, false),
            ),
            Topic::Swap => (
                "Room on the disk for memory that is not used at the moment (swap)",
                "Without it programs end when the memory is full. With it the machine becomes slow first.",
                among(swaps(seen), Some("0"), false),
            ),
            Topic::HostName => (
                "The name of the machine",
                "Small letters, digits and hyphens. Other computers see it.",
                Asks::Text {
                    default: self.system(seen).map_or("cairn", |one| &one.machine.hostname).into(),
                    optional: false,
                },
            ),
            Topic::User => (
                "The name with which you log in",
                "Small letters and digits. This person may administer the machine (sudo).",
                Asks::Text { default: String::new(), optional: false },
            ),
            Topic::Password => ("Your password", "It is not shown. Only a hash of it is written down.", Asks::Secret),
            Topic::SshKey => (
                "An SSH key that may log in from elsewhere",
                "The line of a .pub file (ssh-ed25519 ...). Without one nobody logs in over the network.",
                Asks::Text { default: String::new(), optional: true },
            ),
        };
        Question { topic, title: title.into(), help, asks, notes }
    }

    /// The keyboard that goes with the language.
    fn keyboard(&self) -> Option<&'static str> {
        let language = self.get(Topic::Language)?;
        let by_country = [("en_GB", "gb"), ("de_CH", "ch"), ("fr_CA", "ca"), ("pt_BR", "br"), ("es_MX", "latam")];
        if let Some((_, layout)) = by_country.iter().find(|(name, _)| language.starts_with(name)) {
            return Some(layout);
        }
        let by_language = [
            ("cs", "cz"),
            ("da", "dk"),
            ("de", "de"),
            ("es", "es"),
            ("fi", "fi"),
            ("fr", "fr"),
            ("hu", "hu"),
            ("it", "it"),
            ("ja", "jp"),
            ("nb", "no"),
            ("nl", "nl"),
            ("pl", "pl"),
            ("pt", "pt"),
            ("ro", "ro"),
            ("sv", "se"),
            ("tr", "tr"),
        ];
        let (begin, _) = language.split_once('_')?;
        Some(by_language.iter().find(|(name, _)| *name == begin).map_or("us", |(_, layout)| layout))
    }

    fn uses(&self, seen: &Seen) -> Vec<Choice> {
        let Some(disk) = self.disk(seen) else { return Vec::new() };
        let whole = if disk.holds.is_empty() { "The whole disk" } else { "The whole disk: everything on it is lost" };
        let mut uses = vec![choice("whole", whole)];
        if disk.shares {
            uses.push(choice("free", "The free space on it: everything that is there stays"));
        }
        if disk.again {
            uses.push(choice("renew", "A new system in the machine that is on it: all files of people stay"));
            uses.push(choice("again", "That machine made anew: its other partitions, such as /home, stay"));
        }
        uses.extend(disk.places.iter().map(|place| {
            let shown = format!("In the place of partition {}, {}: only that is lost", place.number, place.shown);
            Choice { value: format!("{REPLACE}{}", place.number), shown }
        }));
        if disk.there.is_some() {
            uses.push(choice(BY_HAND, "By hand: you say of each partition what becomes of it"));
        }
        uses
    }
}

/// An address that does not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fixed<'s> {
    pub interface: &'s str,
    pub addresses: Vec<&'s str>,
    pub gateways: Vec<&'s str>,
    pub servers: Vec<&'s str>,
}

pub(super) fn heard<'s>(seen: &'s Seen, name: &str) -> Option<&'s Heard> {
    seen.network.heard.iter().find(|one| one.name == name)
}

fn networks(seen: &Seen) -> Vec<Choice> {
    let mut all = vec![choice(DHCP, "By cable, or none: nothing has to be said (DHCP)")];
    if !seen.network.wired.is_empty() {
        all.push(choice(FIXED, "By cable, with an address that does not change"));
    }
    for one in &seen.network.heard {
        let strength = match one.signal {
            -55.. => "strong",
            -70..-55 => "good",
            _ => "weak",
        };
        let open = if one.open { ", open to anybody" } else { "" };
        all.push(choice(&format!("{WIFI}{}", one.name), &format!("Wi-Fi: {} ({strength}{open})", one.name)));
    }
    all
}

fn choice(value: &str, shown: &str) -> Choice {
    Choice { value: value.into(), shown: shown.into() }
}

fn described(disk: &SeenDisk) -> String {
    let holds = if disk.holds.is_empty() { "nothing that is known" } else { &disk.holds };
    format!("{}, holds {holds}", disk.shown)
}

fn among(of: Vec<Choice>, default: Option<&str>, others: bool) -> Asks {
    let default = of.iter().position(|one| Some(one.value.as_str()) == default).unwrap_or(0);
    Asks::One { of, default, others }
}

/// None, and sizes up to that of the memory.
fn swaps(seen: &Seen) -> Vec<Choice> {
    let memory = seen.memory.div_ceil(1024).next_power_of_two();
    let sizes = [1_u64, 2, 4, 8, 16, 32].into_iter().filter(|size| *size <= memory.max(2));
    let sizes = sizes.map(|size| choice(&format!("{size}G"), &format!("{size} GiB")));
    std::iter::once(choice("0", "None")).chain(sizes).collect()
}
