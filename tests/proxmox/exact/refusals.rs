//! Reasons in status lines, and who may do what.

use proxmox_server::{Account, ROOT_PASSWORD, Server, Spec};

use crate::raw::{Outcome, field, file, send, token};

#[tokio::test]
async fn the_reason_stands_in_the_status_line() -> Outcome {
    let server = Server::start(Spec::default())?;
    for (request, line) in [
        (
            "GET /api2/json/nothing",
            "501 Method 'GET /nothing' not implemented",
        ),
        ("GET /elsewhere", "501 no such file '/elsewhere'"),
        (
            "PATCH /api2/json/version",
            "501 method 'PATCH' not available",
        ),
        (
            "GET /api2/json/nodes/pve01/storage/x/content",
            "500 storage 'x' does not exist",
        ),
        (
            "GET /api2/json/nodes/pve03/storage/isos/content",
            "500 storage 'isos' is not available on node 'pve03'",
        ),
        (
            "GET /api2/json/nodes/pve01/storage/x/status",
            "400 Parameter verification failed.",
        ),
        (
            "GET /api2/json/nodes/pve01/storage/local/content/local%3Aiso%2Fx.iso",
            "500 volume_size_info on 'local:iso/x.iso' failed - no format",
        ),
        (
            "GET /api2/json/nodes/pve01/tasks/UPID:pve01:1:1:1:x::root@pam:/status",
            "400 Parameter verification failed.",
        ),
    ] {
        let answer = send(&server, request, &token(), b"").await?;
        assert_eq!(answer.line, line);
    }
    Ok(())
}

#[tokio::test]
async fn nobody_is_let_in_without_a_good_login() -> Outcome {
    let server = Server::start(Spec::default())?;
    let request = "GET /api2/json/version";
    for (headers, line) in [
        ("", "401 No ticket"),
        (
            "Authorization: PVEAPIToken=root@pam!lab=wrong\r\n",
            "401 invalid token value!",
        ),
        (
            "Authorization: PVEAPIToken=root@pam!other=wrong\r\n",
            "401 no such token 'other' for user 'root@pam'",
        ),
        (
            "Cookie: PVEAuthCookie=wrong\r\n",
            "401 permission denied - invalid PVE ticket",
        ),
    ] {
        assert_eq!(send(&server, request, headers, b"").await?.line, line);
    }
    Ok(())
}

#[tokio::test]
async fn a_ticket_needs_its_other_half_for_all_changes_but_uploads() -> Outcome {
    let server = Server::start(Spec::default())?;
    let form = format!("username=root@pam&password={ROOT_PASSWORD}");
    let headers = format!(
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n",
        form.len()
    );
    let request = "POST /api2/json/access/ticket";
    let answer = send(&server, request, &headers, form.as_bytes()).await?;
    let answer: serde_json::Value = serde_json::from_str(&answer.body)?;
    let ticket = answer["data"]["ticket"].as_str().ok_or("a ticket")?;
    let cookie = format!("Cookie: PVEAuthCookie={ticket}\r\n");
    let answer = send(&server, "GET /api2/json/version", &cookie, b"").await?;
    assert_eq!(answer.line, "200 OK");
    let removal = "DELETE /api2/json/nodes/pve01/storage/local/content/local:iso/x.iso";
    let answer = send(&server, removal, &cookie, b"").await?;
    assert_eq!(answer.line, "401 Permission denied - invalid csrf token");
    let form = field("content", "iso") + &file("x.iso", "new");
    let headers = format!(
        "{cookie}Content-Type: multipart/form-data; boundary=B\r\nContent-Length: {}\r\n",
        form.len()
    );
    let upload = "POST /api2/json/nodes/pve01/storage/local/upload";
    let answer = send(&server, upload, &headers, form.as_bytes()).await?;
    assert_eq!(answer.line, "200 OK");
    Ok(())
}

#[tokio::test]
async fn a_privilege_that_lacks_is_named_and_an_upload_is_not_even_read() -> Outcome {
    let server = Server::start(Spec {
        accounts: vec![
            Account::new("reader@pve")
                .grant("/storage", &["Datastore.Audit"])
                .token("main", "secret"),
        ],
        ..Spec::default()
    })?;
    let token = "Authorization: PVEAPIToken=reader@pve!main=secret\r\n";
    let headers = format!(
        "{token}Content-Type: multipart/form-data; boundary=B\r\nContent-Length: 1000000\r\n"
    );
    for (request, headers, line) in [
        (
            "POST /api2/json/nodes/pve01/storage/local/upload",
            headers.as_str(),
            "403 Permission check failed (/storage/local, Datastore.AllocateTemplate)",
        ),
        (
            "DELETE /api2/json/nodes/pve01/storage/local/content/local:iso/x.iso",
            token,
            "403 Permission check failed (/storage/local, Datastore.Allocate)",
        ),
        (
            "GET /api2/json/nodes/pve01/query-url-metadata?url=http%3A%2F%2F127.0.0.1%2F",
            token,
            "403 Permission check failed (/nodes/pve01, Sys.AccessNetwork)",
        ),
        (
            "GET /api2/json/nodes/pve01/storage/local/status",
            token,
            "200 OK",
        ),
    ] {
        assert_eq!(send(&server, request, headers, b"").await?.line, line);
    }
    assert_eq!(server.received_bytes(), 0);
    Ok(())
}
