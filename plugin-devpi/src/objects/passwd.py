# Runs devpi-passwd with the password of the Secret; by itself it asks at a terminal.
import getpass, os, sys

getpass.getpass = lambda prompt: os.environ["PASSWORD"]
sys.argv = ["devpi-passwd", "--serverdir", os.environ["SERVERDIR"], "root"]
from devpi_server.passwd import passwd

sys.exit(passwd())
