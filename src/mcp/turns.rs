//! The turns of requests: so many are served at the same time, and of these so many may wait for a
//! job.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use rmcp::model::{ClientRequest, JsonRpcRequest, RequestId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::mcp::limits::{REQUESTS_MAX, WAITS_MAX};

pub type Request = JsonRpcRequest<ClientRequest>;

/// The turns of requests that are being served.
pub type Turns = Arc<Mutex<HashMap<RequestId, Turn>>>;

/// A turn of a request. One that waits for a job has a turn of those as well, of which there are
/// fewer: others are served beside it.
pub struct Turn {
    _any: OwnedSemaphorePermit,
    _of_waits: Option<OwnedSemaphorePermit>,
}

/// The turns that are free.
#[derive(Clone)]
pub struct Free {
    any: Arc<Semaphore>,
    of_waits: Arc<Semaphore>,
}

impl Default for Free {
    fn default() -> Self {
        Self { any: Arc::new(Semaphore::new(REQUESTS_MAX)), of_waits: Arc::new(Semaphore::new(WAITS_MAX)) }
    }
}

impl Free {
    /// Waits for a turn; `None`: there is none any more.
    pub async fn turn(self, is_wait: bool) -> Option<Turn> {
        let of_waits = if is_wait { Some(self.of_waits.acquire_owned().await.ok()?) } else { None };
        Some(Turn { _any: self.any.acquire_owned().await.ok()?, _of_waits: of_waits })
    }

    /// Returns a turn if one is free.
    pub fn turn_now(&self, is_wait: bool) -> Option<Turn> {
        let now = |of: &Arc<Semaphore>| Arc::clone(of).try_acquire_owned().ok();
        let of_waits = if is_wait { Some(now(&self.of_waits)?) } else { None };
        Some(Turn { _any: now(&self.any)?, _of_waits: of_waits })
    }
}

/// Whether a request waits for a job.
pub fn is_wait(request: &Request) -> bool {
    matches!(&request.request, ClientRequest::CallToolRequest(call) if call.params.name == "wait")
}
