//! What a client that was written by others sees: the official inspector of the protocol.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::said;
use crate::support::untested::left_out;

/// Ends of a test that was not made.
const NOT_TESTED: i32 = 77;

#[test]
fn the_official_inspector_calls_each_tool() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/mcp/inspect.sh");
    let ran = Command::new(&script).env("TENURE", env!("CARGO_BIN_EXE_tenure")).stdin(Stdio::null()).output().expect("it runs");
    let ran = said(ran);
    if ran.code == NOT_TESTED {
        // No package of a system brings it.
        return left_out("the inspector of the protocol", "node, jq, and packaging/mcp/inspect.sh install");
    }
    assert!(ran.code == 0 && ran.out.matches("ok  ").count() >= 14, "{ran:?}");
    println!("{}", ran.out);
}
