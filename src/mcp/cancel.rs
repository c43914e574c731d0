//! `cancel`: a queued job ends at once, the whole process tree of a running one is stopped.

use serde_json::json;

use crate::document::shapes::versioned;
use crate::mcp::answer::{Answer, Answered, Failure};
use crate::mcp::arguments::Arguments;
use crate::mcp::file::File;
use crate::parse::values;
use crate::store::job::control::Cancelled;

pub fn cancel(file: &File, arguments: &Arguments) -> Answered {
    file.setup.allowed.changes().map_err(Failure::refused)?;
    let (id, why) = (arguments.job()?, arguments.text("why", values::parse_label)?);
    let queue = file.client()?;
    // An operator who moves it to another queue at this very moment finds it cancelled there.
    file.job(&queue, id)?;
    let mut came_to = Cancelled::AlreadyEnded;
    queue.cancel_each(&[id], why, |_, cancelled| {
        came_to = cancelled?;
        Ok(())
    })?;
    let (word, text) = match came_to {
        Cancelled::Ended { .. } => ("ended", format!("job {id} is cancelled")),
        Cancelled::Asked { .. } => {
            queue.stop_directly(id)?;
            ("asked", format!("job {id} is being stopped, with its whole process tree; wait for it"))
        }
        Cancelled::AlreadyEnded => ("already_ended", format!("job {id} has ended already")),
    };
    Ok(Answer { document: versioned(json!({"id": id, "cancelled": word})), text })
}
