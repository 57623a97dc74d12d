import math, json, struct, re, pathlib, zipfile, tempfile, hashlib, os, csv, io, mmap, collections, datetime, random, decimal, fractions, itertools
print([math.sin(x/7) for x in range(5)], math.factorial(40), math.fsum([.1]*10))
print(json.dumps({"a":[1,2,{"b":None}],"c":1.5e300}, indent=1), json.loads('[1,"\\u20ac"]'))
print(struct.pack("<IHq5sd", 1,2,-3,b"abc",2.5).hex())
print(re.findall(r"(\w+)@(\w+)\.com", "a@b.com, cc@dd.com"), re.sub(r"(?<=a)b+", "X", "abbb ab b"))
d = pathlib.Path("/tmp/d"); d.mkdir(); (d/"sub").mkdir(); (d/"a.txt").write_text("hello\n"*1000); (d/"sub/b").write_bytes(bytes(range(256)))
os.symlink("a.txt", d/"link"); os.link(d/"a.txt", d/"hard")
with zipfile.ZipFile("/tmp/z.zip","w",zipfile.ZIP_DEFLATED) as z:
    for root, dirs, files in sorted(os.walk(d)):
        for f in sorted(files):
            z.write(os.path.join(root,f))
with zipfile.ZipFile("/tmp/z.zip") as z: print(z.namelist(), z.testzip(), [i.file_size for i in z.infolist()])
with tempfile.TemporaryDirectory() as t:
    p = pathlib.Path(t)/"x"; p.write_text("x"); print(p.stat().st_size, oct(p.stat().st_mode))
with tempfile.NamedTemporaryFile() as f: f.write(b"abc"); f.flush(); print(os.stat(f.name).st_size)
with tempfile.TemporaryFile() as f: f.write(b"abc"*100000); f.seek(0); print(len(f.read()))
print(hashlib.sha256(b"x").hexdigest(), hashlib.md5(b"y"*100000).hexdigest(), hashlib.blake2b(b"z").hexdigest()[:20])
with open("/tmp/m","wb") as f: f.truncate(100000)
with open("/tmp/m","r+b") as f:
    m = mmap.mmap(f.fileno(), 0); m[5000:5005]=b"hello"; m.flush(); print(m.find(b"hello")); m.close()
print(open("/tmp/m","rb").read()[4998:5008])
w = io.StringIO(); csv.writer(w).writerows([[1,'a,b','"q"'],[2.5,None,'x\ny']]); print(w.getvalue())
os.rename("/tmp/d/a.txt","/tmp/d/renamed"); os.remove("/tmp/d/hard"); os.chmod("/tmp/d/sub", 0o700); os.utime("/tmp/d/renamed",(1,2)); print(os.stat("/tmp/d/renamed").st_mtime)
print(sorted(os.listdir("/tmp/d")), os.readlink("/tmp/d/link"), os.path.exists("/tmp/d/link"))
random.seed(1); print(random.random(), decimal.Decimal(1)/7, fractions.Fraction(3,9), datetime.date(2024,2,29).isoformat())
os.remove("/tmp/z.zip")
