//! A machine as a value; its command line.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use cairn_process::Tool;

use super::QEMU;
use super::drive::{Controller, Drive};

/// What runs the guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    /// The processor itself. Only after a probe guest has run: see [`crate::probe`].
    Kvm,
    /// QEMU's emulator: everywhere, and some ten times slower.
    Tcg,
}

/// Screen and keyboard.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Display {
    /// No graphics card.
    #[default]
    None,
    /// A graphics card that nobody looks at, for screenshots.
    Headless,
    /// A window.
    Window,
}

/// The network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Network {
    /// QEMU's own network: DHCP, name service, the outside, this computer's port forwarded to port 22.
    User {
        /// Port of this computer, on 127.0.0.1 only.
        ssh_port: Option<u16>,
    },
    /// The same, but nothing outside can be reached.
    #[default]
    Closed,
}

/// Where the serial console goes.
#[derive(Debug, Clone)]
pub enum Serial {
    /// This terminal, QEMU's monitor behind Ctrl-A C, the end behind Ctrl-A X.
    Terminal,
    /// A file, appended to.
    File(PathBuf),
}

/// A virtio-serial port: /dev/virtio-ports/NAME inside.
#[derive(Debug, Clone)]
pub struct Port {
    /// The name inside.
    pub name: &'static str,
    /// A socket outside that somebody listens on before QEMU starts.
    pub socket: PathBuf,
}

/// What starts the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Firmware {
    /// UEFI: its code, and the machine's own copy of its variables.
    Uefi {
        /// The code.
        code: PathBuf,
        /// The variables.
        vars: PathBuf,
        /// Whether it starts only what is signed. It guards its variables by system management mode then.
        secure: bool,
    },
    /// The BIOS that QEMU brings (SeaBIOS).
    Bios,
}

/// A TPM that somebody emulates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tpm {
    /// Its major version: 1 or 2.
    pub version: u32,
    /// The socket on which its emulator is told what to do.
    pub socket: PathBuf,
}

/// A machine: q35.
#[derive(Debug, Clone)]
pub struct Guest {
    /// What runs the guest.
    pub accel: Accel,
    /// Firmware.
    pub firmware: Firmware,
    /// Memory in MiB.
    pub memory: u64,
    /// Processors.
    pub cpus: u32,
    /// Disks, in the order in which the kernel meets them.
    pub disks: Vec<Drive>,
    /// What the network cards hang on.
    pub network: Network,
    /// Hardware addresses of the network cards; one with QEMU's own where there is none.
    pub cards: Vec<String>,
    /// Screen.
    pub display: Display,
    /// Serial console.
    pub serial: Serial,
    /// Files with strings for SMBIOS type 11: systemd takes credentials from there.
    pub smbios: Vec<PathBuf>,
    /// A port of one's own into the machine.
    pub port: Option<Port>,
    /// Its TPM.
    pub tpm: Option<Tpm>,
    /// Speak QMP on standard input and output.
    pub control: bool,
    /// A reboot of the guest restarts the machine; else it ends it.
    pub reboots: bool,
}

/// `key=value` with the commas of the value doubled, as QEMU wants them.
fn option(key: &str, value: &Path) -> OsString {
    let mut text = key.as_bytes().to_vec();
    for byte in value.as_os_str().as_bytes() {
        text.extend(std::iter::repeat_n(*byte, if *byte == b',' { 2 } else { 1 }));
    }
    OsString::from_vec(text)
}

impl Guest {
    /// The command that runs this machine.
    pub fn tool(&self) -> Tool {
        tied_to_us(self.args())
    }

    /// QEMU's arguments.
    pub(crate) fn args(&self) -> Vec<OsString> {
        let mut args = Args(Vec::new());
        args.add("-nodefaults").add("-no-user-config");
        if !self.reboots {
            args.add("-no-reboot");
        }
        let secure = matches!(self.firmware, Firmware::Uefi { secure: true, .. });
        args.add("-machine").add(if secure { "q35,smm=on" } else { "q35,smm=off" });
        if secure {
            args.add("-global").add("driver=cfi.pflash01,property=secure,value=on");
            args.add("-global").add("ICH9-LPC.disable_s3=1");
        }
        match self.accel {
            Accel::Kvm => args.add("-accel").add("kvm").add("-cpu").add("host"),
            // One thread for all processors. With a thread for each, one seems to keep its translation of code that another
            // patches. Linux patches itself all the time, and then dies of a breakpoint that it no longer knows ("Oops: int3"):
            // seen with QEMU 7.2 and 10.0, after some fifty flips of a static key in a loop. With one thread it took 1900 of
            // them, in five minutes, and went on.
            // cmpxchg16b: with it QEMU 7.2's emulator makes Debian's 6.12 kernel oops in most boots.
            Accel::Tcg => args.add("-accel").add("tcg,thread=single").add("-cpu").add("qemu64,-cx16"),
        };
        args.add("-m").add(&self.memory.to_string()).add("-smp").add(&self.cpus.to_string());
        if let Firmware::Uefi { code, vars, .. } = &self.firmware {
            args.add("-drive").os(option("if=pflash,unit=0,format=raw,readonly=on,file=", code));
            args.add("-drive").os(option("if=pflash,unit=1,format=raw,file=", vars));
        }
        args.add("-device").add("virtio-rng-pci");
        let mut ports = 0;
        for (n, disk) in self.disks.iter().enumerate() {
            args.disk(n, disk, &mut ports);
        }
        if let Some(tpm) = &self.tpm {
            args.add("-chardev").os(option("socket,id=tpm,path=", &tpm.socket));
            args.add("-tpmdev").add("emulator,id=tpm0,chardev=tpm");
            // What a TPM 2.0 is reached by in most computers; one of version 1 knows the older way only.
            args.add("-device").add(if tpm.version == 1 { "tpm-tis,tpmdev=tpm0" } else { "tpm-crb,tpmdev=tpm0" });
        }
        args.network(self.network, &self.cards);
        match self.display {
            Display::None => args.add("-display").add("none"),
            Display::Headless => args.add("-display").add("none").add("-device").add("VGA"),
            Display::Window => {
                args.add("-device").add("VGA").add("-device").add("qemu-xhci").add("-device").add("usb-tablet")
            }
        };
        match &self.serial {
            Serial::Terminal => {
                args.add("-chardev").add("stdio,id=terminal,mux=on,signal=off");
                args.add("-serial").add("chardev:terminal").add("-mon").add("chardev=terminal,mode=readline");
            }
            Serial::File(path) => {
                args.add("-chardev")
                    .os(option("file,id=console,append=on,path=", path))
                    .add("-serial")
                    .add("chardev:console");
            }
        }
        for file in &self.smbios {
            args.add("-smbios").os(option("type=11,path=", file));
        }
        if let Some(port) = &self.port {
            args.add("-chardev").os(option("socket,id=port,path=", &port.socket));
            args.add("-device").add("virtio-serial-pci");
            args.add("-device").add(&format!("virtserialport,chardev=port,name={}", port.name));
        }
        if self.control {
            args.add("-chardev").add("stdio,id=control,signal=off").add("-mon").add("chardev=control,mode=control");
        }
        args.0
    }
}

/// QEMU that ends when we do, even when we are killed: a machine that nobody looks after would run on for ever.
pub(crate) fn tied_to_us(args: Vec<OsString>) -> Tool {
    Tool::new(QEMU, "qemu-system-x86", "run the machine").tied_to_us("TERM").args(args)
}

struct Args(Vec<OsString>);

impl Args {
    fn add(&mut self, word: &str) -> &mut Args {
        self.0.push(word.into());
        self
    }

    fn os(&mut self, word: OsString) -> &mut Args {
        self.0.push(word);
        self
    }

    /// `ports` counts the ports of SATA controllers that are taken.
    fn disk(&mut self, n: usize, disk: &Drive, ports: &mut usize) {
        for node in disk.nodes(n) {
            self.add("-blockdev").add(&node.to_string());
        }
        let device = match disk.controller {
            Controller::VirtioBlk => "virtio-blk-pci",
            Controller::VirtioScsi => {
                self.add("-device").add(&format!("virtio-scsi-pci,id=scsi{n}"));
                &format!("scsi-hd,bus=scsi{n}.0")
            }
            Controller::Nvme => "nvme",
            Controller::Ahci => &format!("ide-hd,bus={}", self.sata(ports)),
            Controller::Cdrom => &format!("ide-cd,bus={}", self.sata(ports)),
            Controller::Usb => {
                self.add("-device").add(&format!("qemu-xhci,id=usb{n}"));
                &format!("usb-storage,bus=usb{n}.0")
            }
            Controller::Sd => {
                // A card has no place in the firmware's order and sectors of 512 bytes only.
                self.add("-device").add("sdhci-pci").add("-device").add(&format!("sd-card,drive=disk{n}"));
                return;
            }
        };
        let says = disk.properties(n);
        self.add("-device").add(&format!("{device}{says},drive=disk{n},bootindex={}", disk.boot));
    }

    /// The next port for a SATA drive. q35 has a controller with six built in.
    fn sata(&mut self, ports: &mut usize) -> String {
        const PORTS: usize = 6;
        let (controller, port) = (*ports / PORTS, *ports % PORTS);
        *ports += 1;
        if controller == 0 {
            return format!("ide.{port}");
        }
        if port == 0 {
            self.add("-device").add(&format!("ich9-ahci,id=sata{controller}"));
        }
        format!("sata{controller}.{port}")
    }

    fn network(&mut self, network: Network, cards: &[String]) {
        let netdev = match network {
            Network::User { ssh_port: None } => "user,id=net".to_string(),
            Network::User { ssh_port: Some(port) } => format!("user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22"),
            Network::Closed => "user,id=net,restrict=on".to_string(),
        };
        // Without its ROM a card is not tried for booting.
        const CARD: &str = "virtio-net-pci,romfile=,netdev=net";
        self.add("-netdev").add(&netdev).add("-device");
        match cards.split_first() {
            None => self.add(CARD),
            Some((first, _)) => self.add(&format!("{CARD},mac={first}")),
        };
        for (n, mac) in cards.iter().enumerate().skip(1) {
            let netdev = netdev.split(",hostfwd").next().unwrap_or_default().replace("id=net", &format!("id=net{n}"));
            self.add("-netdev").add(&netdev).add("-device").add(&format!("{CARD}{n},mac={mac}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu::Says;
    use cairn_disk::image::Format;

    fn machine() -> Guest {
        Guest {
            accel: Accel::Tcg,
            firmware: Firmware::Uefi { code: "/fw/code.fd".into(), vars: "/fw/vars.fd".into(), secure: false },
            memory: 1024,
            cpus: 2,
            disks: vec![Drive {
                path: "/images/a,b.raw".into(),
                format: Format::Raw,
                device: false,
                overlay: Some("/o".into()),
                controller: Controller::Nvme,
                sector_size: 512,
                says: Says::default(),
                boot: 0,
                unsafe_cache: false,
            }],
            network: Network::User { ssh_port: Some(2222) },
            cards: Vec::new(),
            display: Display::None,
            serial: Serial::Terminal,
            smbios: vec!["/c".into()],
            port: None,
            tpm: None,
            control: false,
            reboots: false,
        }
    }

    #[test]
    fn the_emulator_gets_the_processor_that_does_not_crash() {
        let line = machine().tool().to_string();
        assert!(line.contains(" -accel tcg,thread=single -cpu qemu64,-cx16 "), "{line}");
        assert!(line.contains(" -smbios type=11,path=/c"), "{line}");
        assert!(line.contains("hostfwd=tcp:127.0.0.1:2222-:22"), "{line}");
    }

    #[test]
    fn a_bios_brings_itself_and_every_controller_has_its_devices() {
        let mut machine = Guest { firmware: Firmware::Bios, ..machine() };
        assert!(!machine.tool().to_string().contains("pflash"));
        for (controller, expected) in [
            (Controller::Usb, "-device qemu-xhci,id=usb0 -device usb-storage,bus=usb0.0,drive=disk0,bootindex=3 "),
            (Controller::Sd, "-device sdhci-pci -device sd-card,drive=disk0 "),
            (Controller::Ahci, "-device ide-hd,bus=ide.0,drive=disk0,bootindex=3 "),
        ] {
            (machine.disks[0].controller, machine.disks[0].boot) = (controller, 3);
            let line = machine.tool().to_string();
            assert!(line.contains(expected), "{line}");
        }
    }

    #[test]
    fn the_seventh_sata_drive_is_on_another_controller() {
        let one = Drive { controller: Controller::Ahci, ..machine().disks.remove(0) };
        let line = Guest { disks: vec![one; 8], ..machine() }.tool().to_string();
        assert!(line.contains(" -device ide-hd,bus=ide.5,drive=disk5,"), "{line}");
        let seventh = " -device ich9-ahci,id=sata1 -device ide-hd,bus=sata1.0,drive=disk6,";
        assert!(line.contains(seventh) && line.contains("ide-hd,bus=sata1.1,drive=disk7,"), "{line}");
    }

    #[test]
    fn a_tpm_is_reached_as_its_version_is() {
        let line = |version| {
            let tpm = Tpm { version, socket: "/run/a,b".into() };
            Guest { tpm: Some(tpm), ..machine() }.tool().to_string()
        };
        let two =
            " -chardev socket,id=tpm,path=/run/a,,b -tpmdev emulator,id=tpm0,chardev=tpm -device tpm-crb,tpmdev=tpm0 ";
        assert!(line(2).contains(two), "{}", line(2));
        assert!(line(1).contains("-device tpm-tis,tpmdev=tpm0 "), "{}", line(1));
    }

    #[test]
    fn a_reboot_restarts_only_a_machine_that_somebody_uses() {
        assert!(machine().tool().to_string().contains(" -no-reboot "));
        assert!(!Guest { reboots: true, ..machine() }.tool().to_string().contains("-no-reboot"));
    }

    #[test]
    fn a_name_is_only_a_name() {
        let mut machine = machine();
        machine.smbios = vec!["/c,path=/d".into()];
        let line = machine.tool().to_string();
        assert!(line.contains(r#""filename":"/images/a,b.raw""#), "{line}");
        assert!(line.contains(" -smbios type=11,path=/c,,path=/d"), "{line}");
        assert!(line.contains("nvme,serial=cairn0,drive=disk0,bootindex=0"), "{line}");
    }

    #[test]
    fn every_hardware_address_is_a_card_and_the_port_leads_to_the_first() {
        let cards = vec!["52:54:00:00:00:01".into(), "52:54:00:00:00:02".into()];
        let line = Guest { cards, ..machine() }.tool().to_string();
        assert!(line.contains("user,id=net,hostfwd=tcp:127.0.0.1:2222-:22 -device virtio-net-pci,romfile=,netdev=net,mac=52:54:00:00:00:01 "), "{line}");
        assert!(
            line.contains("user,id=net1 -device virtio-net-pci,romfile=,netdev=net1,mac=52:54:00:00:00:02 "),
            "{line}"
        );
    }
}
