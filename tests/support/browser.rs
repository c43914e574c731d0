//! A browser without a screen, which a test drives as a person would: Chromium, through its driver (the WebDriver protocol).

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::{At, Nest, Web, until};

/// Whether a directory of `PATH` has this program.
fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// Whether there is a browser with a driver.
pub fn is_there() -> bool {
    is_installed("chromium") && is_installed("chromedriver")
}

/// A browser with one window. It ends with the test.
pub struct Browser {
    driver: Child,
    at: At,
    session: String,
}

impl Browser {
    /// Starts one; its files are in the nest.
    pub fn start(nest: &Nest) -> Self {
        let mut command = Command::new("chromedriver");
        command.args(["--port=0", "--allowed-ips=127.0.0.1"]).env("TMPDIR", nest.path()).env("HOME", nest.path());
        // A group of its own: the browser and its helpers end with it.
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().expect("the driver starts");
        let lines = BufReader::new(driver.stdout.take().expect("a pipe")).lines();
        let mut said = lines.map_while(Result::ok).inspect(|line| println!("chromedriver: {line}"));
        let port = said.find_map(|line| line.split("successfully on port ").nth(1)?.trim_end_matches('.').parse::<u16>().ok());
        let at = At { address: format!("http://127.0.0.1:{}", port.expect("the driver tells its port")), token: None };
        let args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:loggingPrefs": {"browser": "ALL"}, "unhandledPromptBehavior": "ignore", "goog:chromeOptions": {"args": args}}}});
        let mut browser = Self { driver, at, session: String::new() };
        let session = browser.driven("POST", "", &wanted)["sessionId"].as_str().expect("a session").to_owned();
        browser.session = format!("/{session}");
        browser
    }

    /// Tells the driver something; what it refuses is an error.
    fn asked(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let target = format!("/session{}{path}", self.session);
        let got = self.at.ask(method, &target, &[("Content-Type", "application/json")], body.as_bytes());
        let value = got.json()["value"].clone();
        if got.status == 200 { Ok(value) } else { Err(format!("{method} {path}: {value}")) }
    }

    fn driven(&self, method: &str, path: &str, body: &Value) -> Value {
        self.asked(method, path, body).unwrap_or_else(|why| panic!("{why}"))
    }

    /// Opens a page of a server.
    pub fn open(&self, web: &Web, path: &str) {
        self.driven("POST", "/url", &json!({"url": format!("{}{path}", web.address)}));
    }

    /// The path and the query of the page that is shown.
    pub fn path(&self, web: &Web) -> String {
        let url = self.driven("GET", "/url", &Value::Null);
        url.as_str().and_then(|url| url.strip_prefix(&web.address)).unwrap_or("elsewhere").to_owned()
    }

    /// Logs in, by typing.
    pub fn log_in(&self, web: &Web) {
        self.open(web, "/login");
        self.write("#token", &format!("{}\n", web.token.as_deref().expect("a token")));
        until("the login", || (!self.path(web).starts_with("/login")).then_some(()));
    }

    /// Runs a script and returns its value.
    pub fn run(&self, script: &str) -> Value {
        self.driven("POST", "/execute/sync", &json!({"script": script, "args": []}))
    }

    /// Runs a script that calls its last argument with its value.
    pub fn run_later(&self, script: &str) -> Value {
        self.driven("POST", "/execute/async", &json!({"script": script, "args": []}))
    }

    fn element(&self, selector: &str) -> Result<String, String> {
        let found = self.asked("POST", "/element", &json!({"using": "css selector", "value": selector}))?;
        let id = found.as_object().and_then(|map| map.values().next()?.as_str());
        Ok(format!("/element/{}", id.ok_or("an element has no id")?))
    }

    /// Presses what a selector finds, once it is there. A part that is exchanged meanwhile is found
    /// again.
    pub fn press(&self, selector: &str) {
        let press = || self.element(selector).and_then(|element| self.asked("POST", &format!("{element}/click"), &json!({})));
        until(&format!("{selector} to be pressed"), || press().ok());
    }

    /// Types a text into a field.
    pub fn write(&self, selector: &str, text: &str) {
        let element = until(&format!("{selector} to be there"), || self.element(selector).ok());
        self.driven("POST", &format!("{element}/value"), &json!({"text": text}));
    }

    /// Presses keys, wherever the focus is.
    pub fn keys(&self, keys: &str) {
        let actions: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key.to_string()})))
            .collect();
        self.driven("POST", "/actions", &json!({"actions": [{"type": "key", "id": "keys", "actions": actions}]}));
    }

    /// The text that the page shows.
    pub fn text(&self) -> String {
        self.run("return document.body.innerText").as_str().unwrap_or("").to_owned()
    }

    /// Waits until the page shows a text.
    pub fn until_shown(&self, text: &str) {
        until(&format!("the page to show {text:?}"), || self.text().contains(text).then_some(()));
    }

    /// Answers a question of the page, once there is one; returns the question.
    pub fn answer(&self, accept: bool) -> String {
        let question = until("a question", || self.asked("GET", "/alert/text", &Value::Null).ok());
        self.driven("POST", if accept { "/alert/accept" } else { "/alert/dismiss" }, &json!({}));
        question.as_str().unwrap_or("").to_owned()
    }

    fn command(&self, name: &str, params: &Value) -> Value {
        self.driven("POST", "/goog/cdp/execute", &json!({"cmd": name, "params": params}))
    }

    /// Sets the size of the window, and whether the person likes it dark.
    pub fn look(&self, width: u32, height: u32, is_dark: bool) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.command("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if is_dark { "dark" } else { "light" };
        self.command("Emulation.setEmulatedMedia", &json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]}));
    }

    /// Takes a picture of the window, as PNG in base64.
    pub fn picture(&self) -> String {
        self.command("Page.captureScreenshot", &json!({"format": "png"}))["data"].as_str().unwrap_or("").to_owned()
    }

    /// What the browser has found wrong since the last time: errors of the script, what the policy forbids.
    pub fn complaints(&self) -> Vec<String> {
        let all = self.driven("POST", "/se/log", &json!({"type": "browser"}));
        let severe = all.as_array().into_iter().flatten().filter(|one| one["level"] == "SEVERE");
        severe.map(|one| one["message"].to_string()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.driven("DELETE", "", &Value::Null);
        }
        let group = i32::try_from(self.driver.id()).ok().and_then(rustix::process::Pid::from_raw);
        group.into_iter().for_each(|group| _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL));
        let _ended = self.driver.wait();
    }
}
