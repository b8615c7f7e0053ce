# Runs devpi-passwd, which asks a person at a terminal, with the password of the Secret.
import getpass, os, sys

getpass.getpass = lambda prompt: os.environ["PASSWORD"]
sys.argv = ["devpi-passwd", "--serverdir", os.environ["SERVERDIR"], "root"]
from devpi_server.passwd import passwd

sys.exit(passwd())
