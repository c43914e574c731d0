//! Any bytes as a run file are parsed or refused, never a panic; and what is parsed comes back the same.
//!
//! Random bytes hardly ever have a right checksum, so each line is given one, unless its first byte says otherwise.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tenure::job::{Nonce, RunId};
use tenure::run::Header;
use tenure::run::record::{self, Parsed};

fuzz_target!(|bytes: &[u8]| {
    let header =
        Header { file_id: "f".into(), run: RunId(7), nonce: Nonce([7; 16]), boot_id: "b".into(), pid_ns: 1, pid_ns_ends: true, asks: false };
    let mut file = header.to_line();
    for line in bytes.split(|byte| *byte == b'\n') {
        let line = seal(line);
        if let Parsed::Record(record) = record::parse_line(&line) {
            let again = record.to_line();
            let again = again.strip_suffix(b"\n").expect("a line ends with a newline");
            assert_eq!(record::parse_line(again), Parsed::Record(record));
        }
        file.extend(line);
        file.push(b'\n');
    }
    let (seen, records) = record::parse(&file).expect("its header is whole");
    assert_eq!(seen, header);
    let _any_progress_will_do = records.progress();
    // The same bytes as a header, which is read before anything is known of the file.
    let _refused_or_understood = record::parse(&file[header.to_line().len()..]);
    let _refused_or_understood = record::parse(bytes);
});

fn seal(line: &[u8]) -> Vec<u8> {
    match line.split_first() {
        Some((b'!', rest)) => rest.to_vec(),
        _ => [line, format!(" #{:08x}", crc32fast::hash(line)).as_bytes()].concat(),
    }
}
