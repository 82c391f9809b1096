//! A machine's disk, and the nodes of QEMU's that make it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use cairn_disk::image::Format;

/// What a disk hangs on. Decides which kernel module the machine needs to find it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Controller {
    /// A paravirtual disk: /dev/vda.
    #[default]
    VirtioBlk,
    /// A paravirtual SCSI bus: /dev/sda.
    VirtioScsi,
    /// NVMe: /dev/nvme0n1.
    Nvme,
    /// SATA: /dev/sda.
    Ahci,
    /// A USB stick or disk: /dev/sda.
    Usb,
    /// An SD card in its slot, whose size is a power of two: /dev/mmcblk0.
    Sd,
    /// A CD in a SATA drive, which is only read: /dev/sr0.
    Cdrom,
}

impl Controller {
    /// Every controller with its name on the command line.
    pub const ALL: [(&'static str, Controller); 7] = [
        ("virtio-blk", Controller::VirtioBlk),
        ("virtio-scsi", Controller::VirtioScsi),
        ("nvme", Controller::Nvme),
        ("ahci", Controller::Ahci),
        ("usb", Controller::Usb),
        ("sd", Controller::Sd),
        ("cdrom", Controller::Cdrom),
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        Controller::ALL.iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name)
    }
}

impl std::str::FromStr for Controller {
    type Err = String;
    fn from_str(name: &str) -> Result<Controller, String> {
        let known = || Controller::ALL.map(|(n, _)| n).join(", ");
        let found = Controller::ALL.iter().find(|(n, _)| *n == name);
        found.map(|(_, c)| *c).ok_or_else(|| format!("unknown disk controller '{name}': one of {}", known()))
    }
}

/// What a disk says of itself; nothing where that is QEMU's affair.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Says {
    /// Its serial number.
    pub serial: Option<String>,
    /// Its model, where the kind of disk has one.
    pub model: Option<String>,
    /// Its world wide name, where the kind of disk has one.
    pub wwn: Option<u64>,
    /// Whether it turns, where the kind of disk can say so.
    pub rotational: Option<bool>,
    /// Whether it is said to be removable, where the kind of disk can say so.
    pub removable: bool,
    /// Bytes that it writes at once, where that is another number than that of its sectors.
    pub physical_sector_size: Option<u64>,
}

/// A disk.
#[derive(Debug, Clone)]
pub struct Drive {
    /// The image.
    pub path: PathBuf,
    /// Its format.
    pub format: Format,
    /// It is a disk of this computer, and no file.
    pub device: bool,
    /// A qcow2 file that takes all that is written, so that the image is only read.
    pub overlay: Option<PathBuf>,
    /// What it hangs on.
    pub controller: Controller,
    /// Bytes in its sectors: 512, or 4096 where the controller can.
    pub sector_size: u64,
    /// What it says of itself.
    pub says: Says,
    /// When the firmware tries it: 0 is first.
    pub boot: usize,
    /// The bytes need not survive a crash of this computer: no syncing.
    pub unsafe_cache: bool,
}

/// Serial numbers: most buses have room for twenty characters, SCSI for more.
const SERIAL: usize = 20;
const SCSI_SERIAL: usize = 36;
/// Models likewise.
const ATA_MODEL: usize = 40;
const SCSI_MODEL: usize = 16;

/// A text that a device says of itself: printable, as long as there is room for, the commas doubled as QEMU wants them.
fn said(text: &str, most: usize) -> String {
    let printable = text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(most);
    printable.collect::<String>().trim().replace(',', ",,")
}

impl Drive {
    /// The properties of QEMU's device by which it says what it is, each with a comma in front.
    pub(super) fn properties(&self, n: usize) -> String {
        let mut text = String::new();
        let mut add = |key: &str, value: &str| {
            if !value.is_empty() {
                text += &format!(",{key}={value}");
            }
        };
        let scsi = self.controller == Controller::VirtioScsi;
        let serial = self.says.serial.as_deref().map(|serial| said(serial, if scsi { SCSI_SERIAL } else { SERIAL }));
        match (serial, self.controller) {
            (Some(serial), _) => add("serial", &serial),
            // It wants one.
            (None, Controller::Nvme) => add("serial", &format!("cairn{n}")),
            (None, _) => {}
        }
        if let Some(model) = self.says.model.as_deref() {
            match self.controller {
                Controller::Ahci => add("model", &said(model, ATA_MODEL)),
                Controller::VirtioScsi => add("product", &said(model, SCSI_MODEL)),
                _ => {}
            }
        }
        if matches!(self.controller, Controller::Ahci | Controller::VirtioScsi) {
            if let Some(wwn) = self.says.wwn {
                add("wwn", &format!("{wwn:#018x}"));
            }
            // 1: it does not turn.
            if let Some(turns) = self.says.rotational {
                add("rotation_rate", if turns { "7200" } else { "1" });
            }
        }
        if self.controller == Controller::Usb && self.says.removable {
            add("removable", "on");
        }
        let (logical, physical) = (self.sector_size, self.says.physical_sector_size.unwrap_or(self.sector_size));
        if (logical, physical) != (512, 512) {
            add("logical_block_size", &logical.to_string());
            add("physical_block_size", &physical.max(logical).to_string());
        }
        text
    }

    /// QEMU's nodes for it. Each is told what it is and what is below it: nothing is guessed from the bytes, and no name that is
    /// in them is followed.
    pub(super) fn nodes(&self, n: usize) -> Vec<Value> {
        let keeps = self.overlay.is_none();
        let reads = self.controller == Controller::Cdrom;
        let common = |name: String, read_only: bool, more: Value| {
            let mut node = json!({
                "node-name": name,
                "read-only": read_only || reads,
                "discard": "unmap",
                "cache": { "direct": false, "no-flush": self.unsafe_cache },
            });
            if let (Value::Object(node), Value::Object(more)) = (&mut node, more) {
                node.extend(more);
            }
            node
        };
        let file = |driver: &str, path: &Path| json!({ "driver": driver, "filename": path.to_string_lossy() });
        let image = if keeps { format!("disk{n}") } else { format!("image{n}") };
        let driver = if self.device { "host_device" } else { "file" };
        let mut format = json!({ "driver": self.format.name(), "file": format!("file{n}") });
        if self.format == Format::Qcow2 {
            format["backing"] = Value::Null;
        }
        let mut nodes =
            vec![common(format!("file{n}"), !keeps, file(driver, &self.path)), common(image.clone(), !keeps, format)];
        if let Some(overlay) = &self.overlay {
            nodes.push(common(format!("overlay{n}"), false, file("file", overlay)));
            let above = json!({ "driver": "qcow2", "file": format!("overlay{n}"), "backing": image });
            nodes.push(common(format!("disk{n}"), false, above));
        }
        nodes
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use cairn_process::{Tool, ToolError};

    use super::*;
    use crate::qemu::{QEMU, Qmp};
    use crate::scratch::Scratch;

    fn drive() -> Drive {
        Drive {
            path: "/images/a,b.raw".into(),
            format: Format::Raw,
            device: false,
            overlay: Some("/o".into()),
            controller: Controller::VirtioBlk,
            sector_size: 512,
            says: Says::default(),
            boot: 0,
            unsafe_cache: false,
        }
    }

    #[test]
    fn a_disk_says_what_it_is_told_to_and_no_more_than_it_has_room_for() {
        let says = Says {
            serial: Some("S,Y\n1-a-serial-number-that-is-long".into()),
            model: Some("Samsung, SSD".into()),
            wwn: Some(0x5002_538e_0000_0001),
            rotational: Some(false),
            removable: true,
            physical_sector_size: Some(4096),
        };
        let of = |controller| Drive { controller, says: says.clone(), ..drive() }.properties(3);
        let sectors = "logical_block_size=512,physical_block_size=4096";
        let (short, long) = ("S,,Y1-a-serial-number", "S,,Y1-a-serial-number-that-is-long");
        assert_eq!(of(Controller::VirtioBlk), format!(",serial={short},{sectors}"));
        assert_eq!(of(Controller::Usb), format!(",serial={short},removable=on,{sectors}"));
        let ata = format!(",serial={short},model=Samsung,, SSD,wwn=0x5002538e00000001,rotation_rate=1,{sectors}");
        assert_eq!(of(Controller::Ahci), ata);
        let scsi = format!(",serial={long},product=Samsung,, SSD,wwn=0x5002538e00000001,rotation_rate=1,{sectors}");
        assert_eq!(of(Controller::VirtioScsi), scsi);
        assert_eq!(Drive { controller: Controller::Nvme, ..drive() }.properties(3), ",serial=cairn3");
        let large = Drive { sector_size: 4096, ..drive() }.properties(0);
        assert_eq!(large, ",logical_block_size=4096,physical_block_size=4096");
    }

    fn nodes(drive: &Drive) -> Vec<(Value, Value, Value, Value)> {
        let of = |node: &Value| {
            (node["node-name"].clone(), node["driver"].clone(), node["read-only"].clone(), node["backing"].clone())
        };
        drive.nodes(0).iter().map(of).collect()
    }

    #[test]
    fn every_node_of_a_disk_is_told_what_it_is() {
        let drive = drive();
        let node = |name: &str, driver: &str, read_only: bool, backing: Value| {
            (json!(name), json!(driver), json!(read_only), backing)
        };
        let expected = [
            node("file0", "file", true, Value::Null),
            node("image0", "raw", true, Value::Null),
            node("overlay0", "file", false, Value::Null),
            node("disk0", "qcow2", false, json!("image0")),
        ];
        assert_eq!(nodes(&drive), expected);
        // What a qcow2 image names as its backing file is never opened: the answer to that question is "nothing".
        let drive = Drive { format: Format::Qcow2, overlay: None, device: true, ..drive };
        assert_eq!(
            nodes(&drive),
            [node("file0", "host_device", false, Value::Null), node("disk0", "qcow2", false, Value::Null)]
        );
        assert!(drive.nodes(0)[1].as_object().unwrap().contains_key("backing"));
    }

    /// QEMU itself, without a machine, asked which files it has opened for these nodes; nothing when there is no QEMU.
    fn opened(drive: &Drive) -> Option<String> {
        let mut tool = Tool::new(QEMU, "qemu-system-x86", "check the nodes")
            .args(["-machine", "none", "-nodefaults", "-display", "none", "-S"])
            .args(["-chardev", "stdio,id=control,signal=off", "-mon", "chardev=control,mode=control"]);
        for node in drive.nodes(0) {
            tool = tool.arg("-blockdev").arg(node.to_string());
        }
        let mut qemu = match tool.start(Stdio::piped(), Stdio::piped()) {
            Ok(qemu) => qemu,
            Err(missing @ ToolError::Missing { .. }) => {
                cairn_testkit::skip(missing);
                return None;
            }
            Err(error) => panic!("{error}"),
        };
        let (input, output) = qemu.take_stdin().zip(qemu.take_stdout()).unwrap();
        let mut qmp = Qmp::start(input, output);
        let nodes = qmp.greet().and_then(|()| qmp.ask("query-named-block-nodes", json!({})));
        match nodes {
            Ok(nodes) => {
                qemu.kill();
                Some(nodes.to_string())
            }
            Err(error) => panic!("{error}: {:?}", qemu.wait()),
        }
    }

    #[test]
    fn qemu_opens_what_it_is_given_and_nothing_that_an_image_names() {
        let folder = tempfile::tempdir().unwrap();
        let (secret, image) = (folder.path().join("secret"), folder.path().join("a,b=c:d.qcow2"));
        std::fs::write(&secret, vec![7; 1 << 20]).unwrap();
        let made = Tool::new("qemu-img", "qemu-utils", "make an image")
            .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
            .arg(&secret)
            .arg(&image)
            .run();
        if let Err(missing @ ToolError::Missing { .. }) = made {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{missing}");
            return;
        }
        made.unwrap();
        let overlay = Scratch::overlay(1 << 20).unwrap();
        for overlay in [None, Some(overlay.path())] {
            let drive = Drive { path: image.clone(), format: Format::Qcow2, overlay, ..drive() };
            let Some(nodes) = opened(&drive) else { return };
            assert!(nodes.contains("a,b=c:d.qcow2") && nodes.contains("\"node-name\":\"disk0\""), "{nodes}");
            assert!(
                !nodes.contains("\"filename\":\"$SECRET\"".replace("$SECRET", &secret.to_string_lossy()).as_str()),
                "{nodes}"
            );
        }
    }

    #[test]
    fn an_unknown_controller_is_answered_with_the_known_ones() {
        let error = "scsi".parse::<Controller>().unwrap_err();
        assert_eq!(error, "unknown disk controller 'scsi': one of virtio-blk, virtio-scsi, nvme, ahci, usb, sd, cdrom");
    }
}
