//! Thumbnails of PGM and PPM images, each made by a function of this program in a process of its own.
//!
//! ```sh
//! cargo run --example thumbnails -- /tmp/jobs.db photos/*.ppm
//! ```
//!
//! Kill it at any moment and start it again: an image that is being scaled is finished meanwhile, and none is scaled twice at once.

use std::ffi::OsString;
use std::path::Path;

use tenure::{Call, Failure, Job, Queue, minutes};

/// Most columns of a thumbnail.
const COLUMNS_MAX: usize = 128;

fn main() -> tenure::Result<()> {
    tenure::init_with(&[("thumbnail", thumbnail)]);
    let mut arguments = std::env::args_os().skip(1);
    let queue = Queue::open(arguments.next().unwrap_or_else(|| "jobs.db".into()))?;
    // What an image decoder does with a broken file stays in its process: a crash, an endless loop, all of the memory.
    // The key: a second start adds no second job for an image that is still being scaled.
    let of_image = |path: OsString| {
        let job = Job::call("thumbnail", [&path]).unique(path.to_string_lossy());
        job.retries(2).timeout(minutes(1)).memory(256 << 20)
    };
    let ids = queue.add_many(arguments.map(of_image))?;
    let worker = queue.worker().start()?;
    for job in queue.wait_all(&ids)? {
        println!("{} {} {}", job.id, job.state, job.result.or(job.error).unwrap_or_default());
    }
    worker.stop()
}

fn thumbnail(call: &Call) -> Result<(), Failure> {
    let path = Path::new(call.argument(0)?);
    let image = Image::read(&std::fs::read(path)?).map_err(|why| Failure::permanent(format!("{}: {why}", path.display())))?;
    call.progress(50.0, "scaling")?;
    let small = image.scaled(COLUMNS_MAX);
    // Written aside and renamed: a reader finds a whole thumbnail or none, also when this process is killed.
    let (to, aside) = (path.with_extension("thumbnail"), path.with_extension(format!("thumbnail.{}", call.run())));
    std::fs::write(&aside, small.bytes())?;
    std::fs::rename(&aside, &to)?;
    println!("{} is {}x{} now", to.display(), small.columns, small.rows);
    call.set_result(&format!("{}x{}", small.columns, small.rows))?;
    Ok(())
}

/// A PGM or PPM image with one byte for each value.
struct Image {
    columns: usize,
    rows: usize,
    /// 1: grey; 3: red, green, blue.
    channels: usize,
    values: Vec<u8>,
}

impl Image {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let (channels, mut rest) = match bytes {
            [b'P', b'5', rest @ ..] => (1, rest),
            [b'P', b'6', rest @ ..] => (3, rest),
            _ => return Err("it is not a binary PGM or PPM image".into()),
        };
        let [columns, rows, most] = [number(&mut rest)?, number(&mut rest)?, number(&mut rest)?];
        let values = rest.get(1..).unwrap_or_default();
        let expected = columns.checked_mul(rows).and_then(|pixels| pixels.checked_mul(channels));
        match expected {
            _ if !(1..256).contains(&most) => Err(format!("its values go to {most}, and only one byte for each is read")),
            Some(expected) if expected > 0 && values.len() >= expected => {
                Ok(Self { columns, rows, channels, values: values[..expected].to_vec() })
            }
            _ => Err(format!("it has {} bytes, which is not {columns}x{rows}", values.len())),
        }
    }

    /// Each value is the mean of those that it stands for.
    fn scaled(&self, columns_max: usize) -> Self {
        let columns = self.columns.min(columns_max);
        let rows = (self.rows * columns / self.columns).max(1);
        let mut values = Vec::with_capacity(columns * rows * self.channels);
        for row in 0..rows {
            let from_rows = row * self.rows / rows..((row + 1) * self.rows / rows).max(row * self.rows / rows + 1);
            for column in 0..columns {
                let from = column * self.columns / columns;
                let from_columns = from..((column + 1) * self.columns / columns).max(from + 1);
                for channel in 0..self.channels {
                    let at = |row: usize, column: usize| (row * self.columns + column) * self.channels + channel;
                    let all = from_rows.clone().flat_map(|row| from_columns.clone().map(move |column| at(row, column)));
                    let (sum, n) = all.fold((0, 0), |(sum, n), at| (sum + usize::from(self.values[at]), n + 1));
                    values.push(u8::try_from(sum / n).unwrap_or(u8::MAX));
                }
            }
        }
        Self { columns, rows, channels: self.channels, values }
    }

    fn bytes(&self) -> Vec<u8> {
        let kind = if self.channels == 1 { "P5" } else { "P6" };
        [format!("{kind}\n{} {}\n255\n", self.columns, self.rows).as_bytes(), &self.values].concat()
    }
}

/// The next number of a header; blanks and comments before it are skipped.
fn number(rest: &mut &[u8]) -> Result<usize, String> {
    loop {
        match rest {
            [b'#', ..] => *rest = &rest[rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())..],
            [blank, tail @ ..] if blank.is_ascii_whitespace() => *rest = tail,
            _ => break,
        }
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, tail) = rest.split_at(digits);
    *rest = tail;
    std::str::from_utf8(number).ok().and_then(|text| text.parse().ok()).ok_or_else(|| "its header is broken".into())
}
