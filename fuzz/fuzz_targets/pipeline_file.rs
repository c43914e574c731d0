//! Any bytes as a pipeline file are refused or parsed, never a panic; what is parsed comes back the same, and each of its
//! stages makes a job or says why not.

#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use tenure::cli::options::Surroundings;
use tenure::cli::pipeline_file;
use tenure::job::pipeline::Params;
use tenure::job::{Pipeline, State};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let now = "2026-11-30T12:00:00[UTC]".parse().expect("a time");
    let around = Surroundings { now, cwd: "/home/me".into(), env: BTreeMap::new(), found: Vec::new(), draw: || "drawn".into() };
    // A table with a stage in it is hard to find by chance, so one is given.
    let wrapped = format!("[pipeline.p]\nstart = 'a'\n[pipeline.p.stage.a]\n{text}\n");
    for text in [text, &wrapped] {
        let Ok(pipelines) = pipeline_file::parse(text, &around) else { continue };
        for pipeline in pipelines.values() {
            assert_eq!(Pipeline::from_json(&pipeline.to_json()).as_ref(), Ok(pipeline));
            let params: Params = pipeline.required().into_iter().map(|name| (name, "{}".to_owned())).collect();
            pipeline.check_params(&params).expect("all that are required");
            for (name, _) in pipeline.stages() {
                let _made_or_refused = pipeline.job(name, 7, &params, 0);
                for how in [State::Done, State::Failed, State::Cancelled] {
                    let _follows = pipeline.follows(name, how, None, "", |_| u32::MAX);
                }
            }
        }
    }
});
