//! The questions: whatever is answered, what comes out is a machine file, or a question that says what is wrong.

mod by_hand;

use cairn_installer::questions::network::{Heard, SeenNetwork};
use cairn_installer::questions::{
    Answers, Asks, Choice, Next, OfferedSystem, Place, Question, Seen, SeenDisk, Topic, see,
};
use cairn_machine::{Checked, SourceFile, check};

/// Numbers that are the same each time (xorshift64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn seen() -> Seen {
    let choices =
        |list: &[&str]| list.iter().map(|one| Choice { value: (*one).into(), shown: (*one).into() }).collect();
    let disk = |name: &str, shares, again| SeenDisk {
        selector: format!("serial={name}"),
        shown: name.into(),
        shares,
        again,
        parts: if again {
            vec![("esp", 260), ("bios-boot", 1), ("xbootldr", 260), ("swap", 1024), ("root", 9000), ("home", 900)]
        } else {
            vec![]
        },
        places: if shares { vec![Place { number: 3, shown: "ntfs, 90G".into(), shared: Some(1) }] } else { vec![] },
        holds: if shares { "ntfs".into() } else { String::new() },
        there: shares.then(by_hand::windows),
        ..SeenDisk::default()
    };
    Seen {
        disks: vec![disk("EMPTY", false, false), disk("WINDOWS", true, false), disk("OURS", true, true)],
        uefi: true,
        memory: 7900,
        languages: choices(&["C.UTF-8", "de_DE.UTF-8"]),
        keyboards: choices(&["al", "us", "de"]),
        zones: choices(&["Europe/Berlin", "UTC"]),
        ..Seen::default()
    }
}

fn asked(answers: &Answers, seen: &Seen) -> Question {
    match answers.next(seen) {
        Next::Ask(question) => question,
        Next::Done => panic!("nothing is asked any more"),
    }
}

fn machine(answers: &Answers, seen: &Seen) -> (Checked, String) {
    let files = answers.files(seen, |password| Ok::<_, std::convert::Infallible>(format!("$6${password}"))).unwrap();
    let file = SourceFile::new("machine.yaml", files.machine.clone());
    let checked = check(&file, &mut |_| Err("none".into())).unwrap_or_else(|e| panic!("{}\n{e}", files.machine));
    (checked, files.machine)
}

/// Answers what is asked, in its order; a word that is empty takes what is offered.
fn answered(words: [&str; 10], seen: &Seen) -> Answers {
    let mut answers = Answers::default();
    for word in words {
        let question = asked(&answers, seen);
        let value = question.value_of(word).unwrap_or_else(|e| panic!("{:?}: {e}", question.topic));
        answers.give(question.topic, value, seen).unwrap_or_else(|e| panic!("{:?}: {e}", question.topic));
    }
    assert_eq!(answers.next(seen), Next::Done);
    answers
}

#[test]
fn what_is_offered_makes_a_machine() {
    let (checked, text) = machine(&answered(["", "", "", "", "", "", "", "anna", "secret", ""], &seen()), &seen());
    let machine = &checked.machine;
    assert_eq!((machine.hostname.as_str(), machine.timezone.as_str()), ("cairn", "UTC"));
    assert_eq!(machine.keyboard.layout, "us");
    assert!(machine.users.contains_key("anna") && text.contains("layout: uefi\n") && !text.contains("ssh"), "{text}");
    assert!(text.contains("disk: \"serial=EMPTY\"\n  into: whole\n"), "{text}");
}

#[test]
fn other_answers_are_written_down() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEUs90DoYtvLee8Vxntw1AHjiFkg7Yo8A6b6BuUT5K2j anna@home";
    let words = ["deutsch", "de", "berl", "WINDOWS", "free", "4G", "web-1", "anna", "\"secret: #", key];
    let mut seen = seen();
    seen.uefi = false;
    seen.languages[1].shown = "Deutsch".into();
    let answers = answered(words, &seen);
    let (checked, text) = machine(&answers, &seen);
    let machine = &checked.machine;
    assert_eq!((machine.hostname.as_str(), machine.locale.lang.as_str()), ("web-1", "de_DE.UTF-8"));
    assert_eq!((machine.keyboard.layout.as_str(), machine.timezone.as_str()), ("de", "Europe/Berlin"));
    assert_eq!(machine.users["anna"].ssh_authorized_keys, [key]);
    for line in ["loader: grub", "{type: swap, size: 4G}", "{type: bios-boot}", "into: free", "openssh-server"] {
        assert!(text.contains(line), "no {line}:\n{text}");
    }
    let files = answers.files(&seen, |password| Ok::<_, ()>(format!("hash of {password}"))).unwrap();
    assert_eq!(files.beside, [("anna.password".to_string(), b"hash of \"secret: #\n".to_vec())]);
    assert!(!files.machine.contains("secret"));
}

#[test]
fn a_machine_takes_the_place_of_one_partition() {
    for (uefi, keep) in [(true, true), (false, false)] {
        let seen = Seen { uefi, ..seen() };
        let mut answers = Answers::default();
        for word in ["", "", "", "WINDOWS", "place of partition 3", "box", "anna", "secret", ""] {
            let question = asked(&answers, &seen);
            assert_ne!(question.topic, Topic::Swap, "there is no room that nobody has");
            answers.give(question.topic, question.value_of(word).unwrap(), &seen).unwrap();
        }
        let (checked, text) = machine(&answers, &seen);
        assert!(text.contains("into: free\n  replace: {root: 3}\n"), "{text}");
        assert_eq!(text.contains("keep: {esp: 1}\n"), keep, "{text}");
        assert_eq!(checked.machine.install.as_ref().unwrap().replace["root"], 3);
    }
}

#[test]
fn a_computer_that_starts_only_what_is_signed_gets_that() {
    let words = ["", "", "", "EMPTY", "", "", "box", "anna", "secret", ""];
    for (secure_boot, uefi, wanted) in [(true, true, true), (false, true, false), (true, false, false)] {
        let seen = Seen { secure_boot, uefi, ..seen() };
        let (checked, text) = machine(&answered(words, &seen), &seen);
        assert_eq!(checked.machine.boot.by_shim(), wanted, "{text}");
    }
}

#[test]
fn a_machine_that_is_made_anew_has_the_partitions_that_it_had() {
    for uefi in [true, false] {
        let seen = Seen { uefi, ..seen() };
        let mut answers = Answers::default();
        for word in ["", "", "", "OURS", "again", "box", "anna", "secret", ""] {
            let question = asked(&answers, &seen);
            assert_ne!(question.topic, Topic::Swap, "it has its swap");
            answers.give(question.topic, question.value_of(word).unwrap(), &seen).unwrap();
        }
        assert_eq!(answers.next(&seen), Next::Done);
        let (_, text) = machine(&answers, &seen);
        let parts = "- {type: esp}\n      - {type: bios-boot}\n      - {type: xbootldr}\n      - {type: swap, size: 1024M}\n      \
                     - {type: root}\n      - {type: home}\n";
        assert!(text.contains(parts), "{text}");
    }
}

#[test]
fn an_answer_that_machine_files_do_not_allow_is_told_and_asked_again() {
    let seen = seen();
    for (topic, said) in [
        (Topic::Language, "no language"),
        (Topic::Keyboard, "x y"),
        (Topic::TimeZone, "somewhere"),
        (Topic::HostName, "My Computer!"),
        (Topic::User, "Anna Müller"),
        (Topic::User, "root: x"),
        (Topic::SshKey, "no key"),
    ] {
        let mut answers = Answers::default();
        while asked(&answers, &seen).topic != topic {
            let question = asked(&answers, &seen);
            let value =
                question.value_of(if matches!(question.topic, Topic::User | Topic::Password) { "anna" } else { "" });
            answers.give(question.topic, value.unwrap(), &seen).unwrap();
        }
        let before = answers.clone();
        let why = answers.give(topic, said.into(), &seen).unwrap_err();
        assert!(!why.is_empty() && answers == before, "{topic:?} {said}: {why}");
    }
}

#[test]
fn what_can_be_done_with_a_disk_depends_on_it() {
    for (disk, uses) in [("EMPTY", 1), ("WINDOWS", 4), ("OURS", 6)] {
        let seen = seen();
        let mut answers = Answers::default();
        for word in ["", "", "", disk] {
            let question = asked(&answers, &seen);
            answers.give(question.topic, question.value_of(word).unwrap(), &seen).unwrap();
        }
        let Asks::One { of, .. } = asked(&answers, &seen).asks else { panic!("no choice") };
        assert_eq!(of.len(), uses, "{disk}: {of:?}");
        assert_eq!(of[0].shown.contains("lost"), disk != "EMPTY");
    }
}

#[test]
fn any_answers_and_steps_back_end_in_a_machine_file() {
    let words = [
        "",
        "1",
        "2",
        "99",
        "anna",
        "Üñï",
        "a\"b",
        "- x",
        "{",
        "yes",
        "null",
        "1.5",
        "#",
        "'",
        "\\",
        "a b",
        "us",
        "\u{2028}",
        "4G",
        "a passphrase",
        "192.0.2.10/24 192.0.2.1, 192.0.2.53",
        "192.0.2.10/99",
        "x".repeat(5000).leak(),
    ];
    let mut random = Random(7);
    let (mut done, mut wireless, mut fixed) = (0, 0, 0);
    for _ in 0..100 {
        let mut seen = seen();
        seen.uefi = random.below(2) == 0;
        seen.memory = random.below(100_000);
        seen.network = networks(random.below(2) == 0, random.below(2) == 0);
        let systems = [system("store", OWN_DISK), system("web", WEB)];
        seen.systems = systems.into_iter().take(random.below(3) as usize).collect();
        let mut answers = Answers::default();
        for _ in 0..90 {
            match answers.next(&seen) {
                Next::Ask(_) if random.below(9) == 0 => {
                    answers.back();
                }
                Next::Ask(_) if random.below(40) == 0 => answers.ask_network(),
                Next::Ask(question) => {
                    let word = words[random.below(words.len() as u64) as usize];
                    if let Ok(value) = question.value_of(word) {
                        // Refused in words, or taken.
                        let _ = answers.give(question.topic, value, &seen);
                    }
                }
                Next::Done => {
                    done += 1;
                    wireless += usize::from(answers.get(Topic::WifiPassphrase).is_some());
                    fixed += usize::from(answers.get(Topic::Address).is_some());
                    break;
                }
            }
            machine(&answers, &seen);
        }
    }
    assert!(done > 10 && wireless > 0 && fixed > 0, "{done} {wireless} {fixed}");
}

/// What is there of networks.
fn networks(online: bool, radio: bool) -> SeenNetwork {
    let heard = |name: &str, open| Heard { name: name.into(), signal: -50, open };
    SeenNetwork {
        wired: vec!["enp2s0".into(), "enp1s0".into()],
        radios: if radio { vec!["wlp3s0".into()] } else { vec![] },
        online,
        heard: if radio { vec![heard("home: \"x\"", false), heard("guests", true)] } else { vec![] },
    }
}

/// The topics, and what was made of these words: the one of each topic, or what is offered.
fn asked_about(seen: &Seen, answers: &mut Answers, words: &[(Topic, &str)]) -> Vec<Topic> {
    let mut topics = Vec::new();
    while let Next::Ask(question) = answers.next(seen) {
        topics.push(question.topic);
        let usual = if matches!(question.topic, Topic::User | Topic::Password) { "anna" } else { "" };
        let word = words.iter().find(|(topic, _)| *topic == question.topic).map_or(usual, |(_, word)| *word);
        answers.give(question.topic, question.value_of(word).unwrap(), seen).unwrap();
    }
    topics
}

#[test]
fn a_network_is_asked_about_only_where_it_is_needed_or_wanted() {
    for (online, radio, asks) in [(true, true, false), (true, false, false), (false, false, false), (false, true, true)]
    {
        let seen = Seen { network: networks(online, radio), ..seen() };
        let mut answers = Answers::default();
        let topics = asked_about(&seen, &mut answers, &[]);
        assert_eq!(topics.contains(&Topic::Network), asks, "{online} {radio}");
        // By cable the machine file says nothing.
        let (checked, text) = machine(&answers, &seen);
        assert!(!text.contains("network:") && checked.machine.network.wifi.is_empty(), "{text}");
        answers.ask_network();
        assert_eq!(asked_about(&seen, &mut answers, &[]), [Topic::Network], "nothing else is asked again");
    }
}

#[test]
fn a_wireless_network_goes_with_the_machine_and_its_passphrase_beside_the_file() {
    let mut seen = Seen { network: networks(false, true), ..seen() };
    let mut answers = Answers::default();
    let words = [(Topic::Network, "home"), (Topic::WifiPassphrase, "quoted \" one")];
    let topics = asked_about(&seen, &mut answers, &words);
    assert!(topics.windows(2).any(|two| two == [Topic::Network, Topic::WifiPassphrase]), "{topics:?}");
    let (checked, text) = machine(&answers, &seen);
    let wifi = &checked.machine.network.wifi["home: \"x\""];
    assert_eq!((wifi.passphrase_file.as_deref(), wifi.hidden), (Some("network.passphrase"), false));
    assert!(text.contains("kernel: linux-image-amd64") && !text.contains("quoted"), "{text}");
    let files = answers.files(&seen, |_| Ok::<_, ()>("hash".into())).unwrap();
    assert!(files.beside.contains(&("network.passphrase".into(), b"quoted \" one\n".to_vec())), "{:?}", files.beside);
    // One that anybody may join has none, and one that was not heard is looked for by its name.
    for (name, secret, hidden) in [("guests", false, false), ("not heard", true, true)] {
        let mut answers = Answers::default();
        let topics =
            asked_about(&seen, &mut answers, &[(Topic::Network, name), (Topic::WifiPassphrase, "long enough")]);
        assert_eq!(topics.contains(&Topic::WifiPassphrase), secret);
        let (checked, _) = machine(&answers, &seen);
        let wifi = &checked.machine.network.wifi[name];
        assert_eq!((wifi.passphrase_file.is_some(), wifi.hidden), (secret, hidden), "{name}");
    }
    // The same in a system that the medium offers.
    seen.systems = vec![system("web", WEB)];
    let mut answers = Answers::default();
    asked_about(&seen, &mut answers, &words);
    let (checked, text) = machine(&answers, &seen);
    assert!(checked.machine.network.wifi.len() == 1 && text.contains("nginx"), "{text}");
}

#[test]
fn an_address_that_does_not_change_is_that_of_the_socket_with_a_cable() {
    let seen = Seen { network: networks(true, false), ..seen() };
    let mut answers = Answers::default();
    answers.ask_network();
    let words = [(Topic::Network, "fixed"), (Topic::Address, "192.0.2.10/24 192.0.2.1, 192.0.2.53 192.0.2.54")];
    asked_about(&seen, &mut answers, &words);
    let (checked, _) = machine(&answers, &seen);
    let one = &checked.machine.network.interfaces["enp2s0"];
    assert_eq!((one.addresses.join(" "), one.gateways.join(" ")), ("192.0.2.10/24".into(), "192.0.2.1".into()));
    assert_eq!(one.nameservers.join(" "), "192.0.2.53 192.0.2.54");
    let mut answers = Answers::default();
    answers.ask_network();
    while asked(&answers, &seen).topic != Topic::Network {
        let question = asked(&answers, &seen);
        answers.give(question.topic, question.value_of("").unwrap(), &seen).unwrap();
    }
    answers.give(Topic::Network, "fixed".into(), &seen).unwrap();
    for wrong in ["192.0.2.10", "192.0.2.10/99", "192.0.2.10/24 203.0.113.1", "a/b", "192.0.2.10/24 nobody"] {
        assert!(answers.give(Topic::Address, wrong.into(), &seen).is_err(), "{wrong}");
    }
    assert_eq!(asked(&answers, &seen).topic, Topic::Address);
}

#[test]
fn this_computer_can_be_asked_about() {
    let seen = see(std::path::Path::new("/"), &[]).unwrap();
    assert!(
        !seen.languages.is_empty() && !seen.keyboards.is_empty() && seen.zones.iter().any(|zone| zone.value == "UTC")
    );
}

/// A system as a medium has it.
fn system(name: &str, text: &str) -> OfferedSystem {
    let machine = check(&SourceFile::new("m.yaml", text), &mut |_| Err("none".into())).unwrap().machine;
    let beside = vec![("machine.lock".to_string(), b"lock".to_vec()), ("motd".to_string(), b"hi".to_vec())];
    OfferedSystem { name: name.into(), text: text.into(), machine, beside }
}

const WEB: &str = "\
# The web server.
version: 1
hostname: web
seed: 8a1e4f0c-2b4b-4e3b-9d6a-5f1f5c0c9b11
source:
  debian:
    packages: [nginx, sudo]      # and what it needs
disks: {main: {layout: uefi}}
users:
  root: {ssh_authorized_keys: [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFzJ3yXhJqWbWqLkK2v6Jw3i0eWcLhWq0dZgk0c0kJ8P x\"]}
services:
  enable: [nginx]
";

const OWN_DISK: &str = "\
version: 1
hostname: store
source: {debian: {packages: []}}
disks: {main: {partitions: [{type: esp}, {type: home, size: 1G}, {type: root}]}}
";

#[test]
fn the_answers_stand_in_the_machine_file_of_the_system() {
    let mut seen = seen();
    seen.systems = vec![system("web", WEB)];
    let answers = answered(["de_DE.UTF-8", "de", "", "", "", "", "", "anna", "secret", ""], &seen);
    let (checked, text) = machine(&answers, &seen);
    let machine = &checked.machine;
    assert_eq!((machine.hostname.as_str(), machine.locale.lang.as_str()), ("web", "de_DE.UTF-8"));
    assert!(
        text.starts_with("# The web server.\n") && text.contains("[nginx, sudo]      # and what it needs"),
        "{text}"
    );
    assert!(machine.users.contains_key("anna") && machine.users.contains_key("root"), "{text}");
    assert_eq!((machine.seed, machine.services.enable.join(" ").as_str()), (None, "nginx"));
    let files = answers.files(&seen, |_| Ok::<_, ()>("hash".into())).unwrap();
    let names: Vec<&str> = files.beside.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["anna.password", "machine.lock", "motd"]);
}

#[test]
fn of_several_systems_one_is_chosen_and_its_own_partitions_are_not_asked_about() {
    let mut seen = seen();
    seen.systems = vec![system("store", OWN_DISK), system("web", WEB)];
    let mut answers = Answers::default();
    let mut topics = Vec::new();
    while let Next::Ask(question) = answers.next(&seen) {
        topics.push(question.topic);
        let word = match question.topic {
            Topic::System => "store",
            Topic::User => "anna",
            Topic::Password => "secret",
            _ => "",
        };
        answers.give(question.topic, question.value_of(word).unwrap(), &seen).unwrap();
    }
    assert!(topics.contains(&Topic::System) && !topics.contains(&Topic::Swap), "{topics:?}");
    assert_eq!(topics.len(), answers.topics(&seen).count());
    let (checked, text) = machine(&answers, &seen);
    assert_eq!(checked.machine.hostname, "store");
    assert!(text.contains("{type: home, size: 1G}"), "{text}");
}
