"""Secrets and passwords: what opens something, whoever holds it.

Formats are the issuers' own, as gitleaks and detect-secrets list them; password hashes are those of
crypt(5), Django, WordPress and LDAP.
"""

from __future__ import annotations

from cloister.detect.looks.look import Look

CREDENTIALS: tuple[Look, ...] = (
    Look(
        "SECRET",
        r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}|gh[pousr]_[A-Za-z0-9]{30,}|github_pat_\w{30,}"
        r"|gl(?:pat|ptt|dt|rt)-[\w-]{20,}|xox[abeoprs]-[\w-]{10,}|xapp-[\w-]{10,}"
        r"|sk-[\w-]{20,}|[rsp]k_(?:live|test)_\w{16,}|whsec_\w{20,}|hf_\w{30,}|npm_\w{30,}"
        r"|pypi-[\w-]{50,}|AIza[\w-]{35}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}|SG\.[\w-]{16,}\.[\w-]{16,}"
        r"|key-[0-9a-f]{32}|AC[0-9a-f]{32}|do[opr]_v1_[0-9a-f]{64}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}"
        r"|dapi[0-9a-f]{32}|hv[sb]\.[\w-]{20,}|dckr_pat_[\w-]{20,}|sq0[a-z]{3}-[\w-]{20,}"
        r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"
        r"|(?s:-----BEGIN [A-Z ]*PRIVATE KEY-----.*)|ssh-(?:rsa|ed25519|dss) AAAA\S+.*"
        r"|https://hooks\.slack\.com/services/\S+"
        r"|[A-Za-z][A-Za-z\d+.-]{1,20}://[^/\s:@]+:[^@\s/]{3,}@\S+",
        is_strong=True,
        chance=1e-9,
    ),
    Look(
        "PASSWORD",
        r"\$2[abxy]?\$\d\d\$[./A-Za-z\d]{53}|\$argon2(?:id|i|d)\$\S+|\$(?:1|5|6|y|7|gy)\$\S{20,}"
        r"|\$apr1\$\S+|\$[PH]\$[./A-Za-z\d]{31}|\$scrypt\$\S+|scrypt:\d+:\d+:\d+\$\S+"
        r"|pbkdf2(?:_|:)sha\d+(?:\$|:)\d+\$\S+|\$pbkdf2-sha\d+\$\S+"
        r"|\{(?:SSHA|SHA|SMD5|MD5|CRYPT|SSHA256|SSHA512)\}\S{16,}",
        is_strong=True,
        chance=1e-9,
    ),
)
