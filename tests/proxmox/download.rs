//! `…/download-url` and `/nodes/{node}/query-url-metadata`: the node fetches by itself.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use flate2::read::MultiGzDecoder;
use serde_json::json;

use crate::{
    checksum,
    cluster::Cluster,
    fault::TaskEnd,
    name::{self, Place},
    parameters::{self, Parameters},
    privilege::Subject,
    reply::{Answer, Reply},
    task::Task,
};

const KNOWN: [&str; 7] = [
    "url",
    "content",
    "filename",
    "checksum",
    "checksum-algorithm",
    "compression",
    "verify-certificates",
];

/// Starts the download.
pub(crate) fn start(
    cluster: &Arc<Cluster>,
    subject: &Subject,
    node: &str,
    storage: &str,
    fields: Parameters,
) -> Answer {
    parameters::only(&fields, &KNOWN)?;
    name::check(&fields)?;
    check_url(&fields)?;
    parameters::one_of(&fields, "compression", &["gz", "lzo", "zst", "bz2"])?;
    let path = format!("/storage/{storage}");
    cluster.require_any(subject, &path, &["Datastore.AllocateTemplate"])?;
    cluster.require_network(subject, node)?;
    let known = cluster.enabled(storage, node)?;
    if !known.holds_files() {
        return Err(Reply::thrown(format!(
            "can't upload to storage type '{}', not a file based storage!",
            known.kind
        )));
    }
    let content = &fields["content"];
    if !known.contents.contains(content) {
        return Err(Reply::thrown(format!(
            "storage '{storage}' is not configured for content-type '{content}'"
        )));
    }
    let place = name::place(cluster, &known, node, &fields)?;
    cluster.active(storage, node)?;
    let worker = Arc::clone(cluster);
    let id = place.name.clone();
    let task = cluster.start(node, "download", &id, subject, |task, end| {
        fetch(worker, task, place, fields, end)
    });
    Ok(Reply::data(json!(task.upid.text)))
}

fn check_url(fields: &Parameters) -> Result<(), Reply> {
    let url = parameters::required(fields, "url")?;
    if url.starts_with("http://") || url.starts_with("https://") {
        Ok(())
    } else {
        let text = "value does not match the regex pattern";
        Err(Reply::parameter("url", text))
    }
}

fn client<'a>(cluster: &'a Cluster, fields: &Parameters) -> &'a reqwest::Client {
    match fields.get("verify-certificates").map(String::as_str) {
        Some("0") => &cluster.fetch_insecure,
        _ => &cluster.fetch,
    }
}

async fn fetch(
    cluster: Arc<Cluster>,
    task: Arc<Task>,
    place: Place,
    fields: Parameters,
    end: Option<TaskEnd>,
) -> Result<(), String> {
    let target = &place.path;
    let url = &fields["url"];
    if let Some(compression) = fields.get("compression") {
        if place.content != "iso" {
            return Err(format!("decompression not supported for {}", place.content));
        }
        if compression != "gz" {
            return Err("no decompression method found".to_owned());
        }
    }
    let wanted = fields.get("checksum").zip(fields.get("checksum-algorithm"));
    task.say(format!("downloading {url} to {}", target.display()));
    if target.is_file() {
        let Some((wanted, algorithm)) = wanted else {
            return Err(format!(
                "refusing to override existing file '{}'",
                target.display()
            ));
        };
        let got = checksum::of_file(target, algorithm)?;
        if got.eq_ignore_ascii_case(wanted) {
            task.say("calculating checksum of existing file...OK, got correct file already, no need to download");
            return Ok(());
        }
        task.say("calculating checksum of existing file...");
        return Err(format!(
            "checksum mismatch: got '{got}' != expect '{wanted}', aborting"
        ));
    }
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    let temporary = Temporary(PathBuf::from(format!(
        "{}.tmp_dwnl.{}",
        target.display(),
        task.upid.pid
    )));
    let halfway = match end {
        Some(TaskEnd::Halfway(error)) => Some(error),
        _ => None,
    };
    let client = client(&cluster, &fields);
    transfer(client, url, &temporary.0, &task, halfway)
        .await
        .map_err(|error| format!("download failed: {error}"))?;
    if let Some((wanted, algorithm)) = wanted {
        let got = checksum::of_file(&temporary.0, algorithm)?;
        if !got.eq_ignore_ascii_case(wanted) {
            task.say("calculating checksum...");
            return Err(format!(
                "checksum mismatch: got '{got}' != expect '{wanted}'"
            ));
        }
        task.say("calculating checksum...OK, checksum verified");
    }
    if fields.contains_key("compression") {
        let unpacked = Temporary(PathBuf::from(format!(
            "{}.tmp_dcom.{}",
            target.display(),
            task.upid.pid
        )));
        unpack(&temporary.0, &unpacked.0).map_err(|error| error.to_string())?;
        fs::rename(&unpacked.0, target).map_err(|error| error.to_string())?;
    } else {
        fs::rename(&temporary.0, target)
            .map_err(|error| format!("unable to rename temporary file: {error}"))?;
    }
    cluster.hide(target);
    task.say(format!(
        "download of '{url}' to '{}' finished",
        target.display()
    ));
    Ok(())
}

/// A file that goes, whatever happens.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        // It has its name by now, or never came to be.
        let _ = fs::remove_file(&self.0);
    }
}

fn unpack(from: &Path, to: &Path) -> io::Result<()> {
    let mut unpacked = MultiGzDecoder::new(File::open(from)?);
    io::copy(&mut unpacked, &mut File::create(to)?)?;
    Ok(())
}

/// What `wget --progress=dot:giga` does and writes.
async fn transfer(
    client: &reqwest::Client,
    url: &str,
    path: &Path,
    task: &Task,
    halfway: Option<String>,
) -> Result<(), String> {
    task.say(format!("--2025-01-01 00:00:00--  {url}"));
    let failed = |error: reqwest::Error| error.without_url().to_string();
    let mut response = client.get(url).send().await.map_err(failed)?;
    let status = response.status();
    if !status.is_success() {
        let reason = status.canonical_reason().unwrap_or("Unknown");
        return Err(format!("ERROR {}: {reason}.", status.as_u16()));
    }
    let total = response.content_length();
    if let Some(total) = total {
        task.say(format!("Length: {total} [application/octet-stream]"));
    }
    let mut file = File::create(path).map_err(|error| error.to_string())?;
    let mut done: u64 = 0;
    let mut shown = 0;
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        file.write_all(&chunk).map_err(|error| error.to_string())?;
        done += chunk.len() as u64;
        let Some(total) = total else { continue };
        let percent = done * 100 / total.max(1);
        if percent >= shown + 5 {
            shown = percent;
            task.say(format!(
                "{:>7}K ........ ........ ........ ........ {percent:>3}%  110M 1s",
                done / 1024
            ));
        }
        if let Some(error) = &halfway
            && percent >= 50
        {
            return Err(error.clone());
        }
    }
    Ok(())
}

/// What a URL would give, by a HEAD request from the node.
pub(crate) async fn metadata(
    cluster: &Cluster,
    subject: &Subject,
    node: &str,
    fields: &Parameters,
) -> Answer {
    parameters::only(fields, &["url", "verify-certificates"])?;
    check_url(fields)?;
    cluster.require_network(subject, node)?;
    let url = &fields["url"];
    let response = client(cluster, fields)
        .head(url)
        .send()
        .await
        .map_err(|error| {
            let text = format!("invalid server response: '500 {}'", error.without_url());
            Reply::thrown(text)
        })?;
    let status = response.status();
    if status.as_u16() != 200 {
        let text = format!("invalid server response: '{status}'");
        return Err(Reply::thrown(text));
    }
    let header = |name| {
        response
            .headers()
            .get(name)
            .and_then(|value: &reqwest::header::HeaderValue| value.to_str().ok())
    };
    let bare = url.split('?').next().unwrap_or(url);
    let name = header(reqwest::header::CONTENT_DISPOSITION)
        .and_then(|text| text.split_once("filename="))
        .map(|(_, name)| name.split(';').next().unwrap_or(name).trim_matches('"'))
        .or_else(|| bare.rsplit('/').next())
        .unwrap_or_default();
    let mut found = json!({ "filename": name });
    if let Some(size) = header(reqwest::header::CONTENT_LENGTH)
        && let Ok(size) = size.parse::<u64>()
    {
        found["size"] = json!(size);
    }
    if let Some(kind) = header(reqwest::header::CONTENT_TYPE) {
        found["mimetype"] = json!(kind.split(';').next().unwrap_or(kind));
    }
    Ok(Reply::data(found))
}
