/* Search without a server: browsers refuse a worker on file://, so its script runs in a hidden frame instead. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      document.body.append(frame)
      this.inside = frame.contentWindow
      this.inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      this.inside.importScripts = (...urls) => Promise.all(urls.map(one => this.run(one)))
      this.ready = this.run(url)
    }

    run(url) {
      const page = this.inside.document
      return new Promise((done, failed) => {
        const script = page.createElement("script")
        script.src = new URL(url, location.href)
        script.onload = done
        script.onerror = failed
        page.body.append(script)
      })
    }

    async postMessage(data) {
      await this.ready
      this.inside.dispatchEvent(new this.inside.MessageEvent("message", { data }))
    }

    terminate() {
      this.inside.frameElement.remove()
    }
  }
}
