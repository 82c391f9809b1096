//! Images that somebody made to get at the files of whoever runs them, made by qemu-img: every door refuses them.

use std::path::Path;

use cairn_disk::image::ImageFile;
use cairn_observe::inspect::inspect;
use cairn_observe::view::Disk;
use cairn_process::{Quiet, Tool, ToolError};
use image_builder::run::RunOptions;
use image_builder::verify::{Expected, VerifyOptions};

fn qemu_img(folder: &Path, args: &[&str]) -> bool {
    match Tool::new("qemu-img", "qemu-utils", "make an image").args(args.iter().copied()).dir(folder).run() {
        Ok(()) => true,
        Err(missing @ ToolError::Missing { .. }) => {
            cairn_testkit::skip(missing);
            false
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn an_image_that_names_other_files_is_used_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("secret"), vec![7; 1 << 20]).unwrap();
    let secret = at("secret").to_string_lossy().into_owned();
    let json = format!("json:{{\"driver\":\"raw\",\"file\":{{\"driver\":\"file\",\"filename\":\"{secret}\"}}}}");
    let cases: [(&str, &[&str], &str); 9] = [
        ("backing.qcow2", &["create", "-q", "-f", "qcow2", "-F", "raw", "-b", &secret], "its backing file '"),
        (
            "old.qcow2",
            &["create", "-q", "-f", "qcow2", "-o", "compat=0.10", "-F", "raw", "-b", &secret],
            "backing file",
        ),
        ("json.qcow2", &["create", "-q", "-f", "qcow2", "-F", "raw", "-u", "-b", &json], "its backing file 'json:{"),
        (
            "nbd.qcow2",
            &["create", "-q", "-f", "qcow2", "-F", "raw", "-u", "-b", "nbd:localhost:1"],
            "'nbd:localhost:1'",
        ),
        (
            "data.qcow2",
            &["create", "-q", "-f", "qcow2", "-o", "data_file=d.raw,data_file_raw=on"],
            "its data file 'd.raw'",
        ),
        // With LUKS qemu-img measures the processor first, and gives up when the kernel's clock has not moved meanwhile.
        (
            "encrypted.qcow2",
            &[
                "create",
                "-q",
                "--object",
                "secret,id=s,data=x",
                "-f",
                "qcow2",
                "-o",
                "encrypt.format=aes,encrypt.key-secret=s",
            ],
            "it is encrypted",
        ),
        ("disk.vmdk", &["create", "-q", "-f", "vmdk"], "it is a VMDK image"),
        ("disk.vdi", &["create", "-q", "-f", "vdi"], "it is a VDI image"),
        ("disk.vhdx", &["create", "-q", "-f", "vhdx"], "it is a VHDX image"),
    ];
    for (name, args, words) in cases {
        if !qemu_img(folder.path(), &[args, &[name, "64M"]].concat()) {
            return;
        }
        let image = at(name);
        let run = |persist| {
            image_builder::run::run(&image, &RunOptions { persist, ..RunOptions::default() }, &Quiet)
                .unwrap_err()
                .to_string()
        };
        let verify = image_builder::verify::verify(&image, &Expected::default(), &VerifyOptions::default(), &Quiet);
        let answers = [
            ("open", ImageFile::open(&image).unwrap_err().to_string()),
            ("inspect", inspect(&image).unwrap_err().to_string()),
            ("view", Disk::open(&image).unwrap_err().to_string()),
            ("run", run(false)),
            ("run --persist", run(true)),
            ("verify", verify.unwrap_err().to_string()),
        ];
        for (door, said) in answers {
            assert!(said.contains(words) && said.contains(name), "{name}: {door}: {said}");
        }
    }
}

#[test]
fn what_qemu_alone_reads_is_no_reason_to_refuse_it() {
    let folder = tempfile::tempdir().unwrap();
    for options in ["lazy_refcounts=on", "compression_type=zstd", "extended_l2=on", "compat=0.10"] {
        let made = qemu_img(folder.path(), &["create", "-q", "-f", "qcow2", "-o", options, "a.qcow2", "64M"]);
        if made {
            assert_eq!(ImageFile::open(&folder.path().join("a.qcow2")).unwrap().size, 64 << 20, "{options}");
        }
    }
}
