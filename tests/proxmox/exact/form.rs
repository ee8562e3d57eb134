//! The one form of an upload, and what follows a good one.

use std::{fs, time::Duration};

use proxmox_server::{Server, Spec};

use crate::raw::{Outcome, field, file, send, token, upload};

#[tokio::test]
async fn a_good_form_starts_a_task_and_replaces_without_a_word() -> Outcome {
    let server = Server::start(Spec::default())?;
    let path = server.put("pve01", "local", "iso", "a_b.iso", b"old")?;
    let answer = upload(
        &server,
        "local",
        &(field("content", "iso") + &file("x/a b.iso", "new")),
    )
    .await?;
    assert_eq!(answer.line, "200 OK");
    assert!(
        answer.body.starts_with("{\"data\":\"UPID:pve01:"),
        "{}",
        answer.body
    );
    assert!(
        answer.body.contains(":imgcopy::root@pam!lab:"),
        "{}",
        answer.body
    );
    let replaced = async {
        while !fs::read(&path).is_ok_and(|bytes| bytes == b"new") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(1), replaced).await?;
    Ok(())
}

#[tokio::test]
async fn another_order_is_refused() -> Outcome {
    let server = Server::start(Spec::default())?;
    let form = field("checksum", "00") + &field("content", "iso") + &file("x.iso", "new");
    let answer = upload(&server, "local", &form).await?;
    assert!(
        answer
            .line
            .starts_with("501 wrong Content-Disposition 'form-data; name=\"checksum\""),
        "{}",
        answer.line
    );
    assert!(server.files().is_empty());
    Ok(())
}

#[tokio::test]
async fn a_form_without_its_end_is_refused() -> Outcome {
    let server = Server::start(Spec::default())?;
    let form = field("content", "iso") + &file("x.iso", "new").replace("--B--", "--C--");
    assert_eq!(
        upload(&server, "local", &form).await?.line,
        "501 upload failed"
    );
    assert!(server.files().is_empty());
    Ok(())
}

#[tokio::test]
async fn chunks_are_refused() -> Outcome {
    let server = Server::start(Spec::default())?;
    let headers = format!(
        "{}Content-Type: multipart/form-data; boundary=B\r\nTransfer-Encoding: chunked\r\n",
        token()
    );
    let request = "POST /api2/json/nodes/pve01/storage/local/upload";
    let answer = send(&server, request, &headers, b"0\r\n\r\n").await?;
    assert_eq!(answer.line, "501 chunked transfer encoding not supported");
    Ok(())
}

#[tokio::test]
async fn a_double_slash_makes_an_upload_a_form() -> Outcome {
    let server = Server::start(Spec::default())?;
    for (size, line) in [
        (600 * 1024, "501 for data too large"),
        (
            10,
            "506 upload 'Content-Type 'multipart/form-data' not implemented",
        ),
    ] {
        let headers = format!(
            "{}Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {size}\r\n",
            token()
        );
        let request = "POST /api2/json//nodes/pve01/storage/local/upload";
        // Not a byte of it is read.
        let answer = send(&server, request, &headers, b"").await?;
        assert_eq!(answer.line, line);
    }
    let answer = send(&server, "GET /api2/json//version", &token(), b"").await?;
    assert_eq!(answer.line, "200 OK");
    Ok(())
}

#[tokio::test]
async fn an_upload_without_a_body_finds_its_parameters_missing() -> Outcome {
    let server = Server::start(Spec::default())?;
    let request = "POST /api2/json/nodes/pve01/storage/local/upload";
    let answer = send(&server, request, &token(), b"").await?;
    assert_eq!(answer.line, "400 Parameter verification failed.");
    assert!(
        answer.body.contains("\"content\":\"property is missing"),
        "{}",
        answer.body
    );
    Ok(())
}

#[tokio::test]
async fn parameters_are_checked_like_any_others() -> Outcome {
    let server = Server::start(Spec::default())?;
    for (storage, form, line) in [
        (
            "local",
            field("content", "images") + &file("x.iso", ""),
            "400 Parameter verification failed.",
        ),
        (
            "local",
            field("content", "iso") + &file("x.raw", ""),
            "400 Parameter verification failed.",
        ),
        (
            "local",
            field("content", "iso") + &field("checksum", "00") + &file("x.iso", ""),
            "400 Parameter verification failed.",
        ),
        (
            "rbd-vm",
            field("content", "iso") + &file("x.iso", ""),
            "500 can't upload to storage type 'rbd'",
        ),
        (
            "isos",
            field("content", "import") + &file("x.qcow2", ""),
            "500 storage 'isos' does not support 'import' content",
        ),
    ] {
        assert_eq!(upload(&server, storage, &form).await?.line, line, "{form}");
    }
    assert!(server.files().is_empty());
    Ok(())
}
